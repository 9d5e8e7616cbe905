"""The manifests are valid and have the required settings."""

import os

import jsonschema
import pytest
import yaml

import manifests
from manifests import MANIFESTS, assert_valid, kustomized, schema
from support import RULES

RENDERED = ["base", "overlays/hpa", "overlays/keda"]


def by_kind(folder):
    return manifests.by_kind(kustomized(MANIFESTS / folder))


def pod():
    return by_kind("base")["Deployment"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("folder", RENDERED)
def test_a_cluster_takes_every_object(folder, tmp_path):
    assert_valid(kustomized(MANIFESTS / folder), tmp_path)


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
        jsonschema.validate(item, schema(kind))


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


@pytest.mark.parametrize("component", ["ingress", "gateway"])
def test_a_component_leads_callers_to_the_service(component, tmp_path):
    # As a kustomization of an operator uses it. Kustomize takes relative paths only.
    names = {"resources": MANIFESTS / "base", "components": MANIFESTS / "components" / component}
    own = {kind: [os.path.relpath(path, tmp_path)] for kind, path in names.items()}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    rendered = kustomized(tmp_path)
    assert_valid(rendered, tmp_path)
    objects = manifests.by_kind(rendered)
    service = objects["Service"]
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == {"http"}
    if component == "ingress":
        paths = objects["Ingress"]["spec"]["rules"][0]["http"]["paths"]
        assert {path["backend"]["service"]["name"] for path in paths} == {service["metadata"]["name"]}
        assert {path["backend"]["service"]["port"]["name"] for path in paths} == {"http"}
    else:
        http, grpc = objects["HTTPRoute"]["spec"]["rules"]
        assert http["backendRefs"] == [{"name": service["metadata"]["name"], "port": ports["http"]}]
        assert grpc["backendRefs"] == [{"name": service["metadata"]["name"], "port": ports["grpc"]}]


def paths_of_ingress():
    (item,) = kustomized(MANIFESTS / "components/ingress")
    return [(path["pathType"], path["path"]) for path in item["spec"]["rules"][0]["http"]["paths"]]


def paths_of_gateway():
    (item,) = kustomized(MANIFESTS / "components/gateway")
    matches = [match["path"] for match in item["spec"]["rules"][0]["matches"]]
    return [(path["type"].removeprefix("Path"), path["value"]) for path in matches]


def test_both_ways_in_forward_the_same_paths_and_nothing_internal():
    assert paths_of_ingress() == paths_of_gateway()
    for path in ("/", "/metrics", "/profile", "/events", "/livez", "/v2/repository/models/mnist/unload", "/v2/logging"):
        for kind, allowed in paths_of_ingress():
            assert path != allowed and not (kind == "Prefix" and path.startswith(f"{allowed}/")), path
