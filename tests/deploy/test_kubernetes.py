"""The manifests are valid and have the required settings."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from support import DEPLOY, RULES

MANIFESTS = DEPLOY / "kubernetes"
SCHEMAS = Path(__file__).parent / "schemas"
VALIDATE = Path(__file__).parent / ".venv/bin/kubernetes-validate"
RENDERED = ["base", "overlays/hpa", "overlays/keda"]


def render(folder):
    """Returns the objects of a kustomization, through kubectl if installed, else through the subset used here."""
    if shutil.which("kubectl"):
        ran = subprocess.run(["kubectl", "kustomize", folder], text=True, capture_output=True)
        assert ran.returncode == 0, ran.stderr
        return list(yaml.safe_load_all(ran.stdout))
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert kustomization.keys() <= {"resources", "configMapGenerator"}
    objects = []
    for resource in kustomization.get("resources", []):
        path = folder / resource
        objects += render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for wanted in kustomization.get("configMapGenerator", []):
        metadata = {"name": wanted["name"], "labels": wanted["options"]["labels"]}
        data = {name: (folder / name).read_text() for name in wanted["files"]}
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    return objects


def by_kind(folder):
    objects = {item["kind"]: item for item in render(MANIFESTS / folder)}
    assert len(objects) == len(render(MANIFESTS / folder)), "one object of each kind"
    return objects


def pod():
    return by_kind("base")["Deployment"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("folder", RENDERED)
def test_a_cluster_takes_every_object(folder, tmp_path):
    known = []
    for item in render(MANIFESTS / folder):
        schema = SCHEMAS / f"{item['kind']}.json"
        if schema.exists():
            jsonschema.validate(item, json.loads(schema.read_text()))
        else:
            known.append(item)
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(known))
    checked = subprocess.run([VALIDATE, "--strict", path], text=True, capture_output=True)
    said = checked.stdout + checked.stderr
    # Unknown kinds only give a warning.
    assert checked.returncode == 0 and not re.search("warn|couldn't find", said, re.I), said


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("ScaledObject", lambda item: item["spec"]["triggers"][0]["metadata"].update(threshold=0.8)),
        ("ServiceMonitor", lambda item: item["spec"]["endpoints"][0].update(intervall="15s")),
        ("PrometheusRule", lambda item: item["spec"]["groups"][0]["rules"][0].pop("expr")),
    ],
)
def test_the_schemas_of_custom_objects_refuse_what_their_operators_do(kind, spoil):
    item = by_kind("overlays/keda")[kind]
    spoil(item)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(item, json.loads((SCHEMAS / f"{kind}.json").read_text()))


def test_a_pod_may_do_nothing_but_answer():
    spec, container = pod(), pod()["containers"][0]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert by_kind("base")["NetworkPolicy"]["spec"]["egress"] == []


def test_a_services_own_variables_are_not_read_as_settings():
    assert pod()["enableServiceLinks"] is False


def test_a_pod_has_the_time_to_drain_and_is_left_before_it_stops_serving():
    container = pod()["containers"][0]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    wait, drain = (int(environment[f"ANYWIDTH_DRAIN_{name}_MS"]) / 1000 for name in ("WAIT", "TIMEOUT"))
    assert wait + drain < pod()["terminationGracePeriodSeconds"]
    probe = container["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < wait
    paths = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")]
    assert paths == ["/readyz", "/readyz", "/livez"]


def test_the_largest_load_fits_into_the_memory():
    container = pod()["containers"][0]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    # 12 bytes per pixel that a worker decodes, the bodies in flight, and 128 MiB for everything else.
    workers = int(container["resources"]["requests"]["cpu"])
    needs = workers * 12 * int(environment["ANYWIDTH_MAX_PIXELS"]) + int(environment["ANYWIDTH_MAX_BYTES_IN_FLIGHT"])
    assert container["resources"]["limits"]["memory"] == "1Gi" and needs + (128 << 20) <= 1 << 30


def test_everything_selects_the_same_pods():
    objects = by_kind("overlays/keda")
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *[each["labelSelector"]["matchLabels"] for each in pod()["topologySpreadConstraints"]],
    ]
    assert all(selector == labels for selector in selectors)
    service, monitor = objects["Service"], objects["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]
    target = objects["ScaledObject"]["spec"]["scaleTargetRef"]["name"]
    assert target == objects["Deployment"]["metadata"]["name"]


def test_the_rules_of_a_cluster_are_those_of_compose():
    assert by_kind("overlays/monitoring")["PrometheusRule"]["spec"]["groups"] == yaml.safe_load(RULES.read_text())["groups"]


def test_both_autoscalers_aim_at_the_same():
    hpa = by_kind("overlays/hpa")["HorizontalPodAutoscaler"]["spec"]
    keda = by_kind("overlays/keda")["ScaledObject"]["spec"]
    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (keda["minReplicaCount"], keda["maxReplicaCount"])
    assert hpa["behavior"] == keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    trigger, metric = keda["triggers"][0], hpa["metrics"][0]["external"]
    assert (trigger["metricType"], metric["target"]["type"]) == ("AverageValue", "AverageValue")
    assert float(trigger["metadata"]["threshold"]) == int(metric["target"]["averageValue"].removesuffix("m")) / 1000
    adapter = yaml.safe_load((MANIFESTS / "overlays/hpa/prometheus-adapter.yaml").read_text())["rules"]["external"][0]
    assert adapter["name"]["as"] == metric["metric"]["name"]
    assert adapter["seriesQuery"] in trigger["metadata"]["query"]


def test_no_autoscaler_fights_with_a_fixed_number():
    assert "replicas" not in by_kind("base")["Deployment"]["spec"]
