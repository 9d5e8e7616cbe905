"""The objects for KServe are valid, and are those of the kustomize base where they say the same."""

import subprocess

import jsonschema
import promql_parser
import pytest
import yaml

from manifests import MANIFESTS, assert_valid, by_kind, kustomized, schema
from support import DEPLOY, RULES

KSERVE = DEPLOY / "kserve"
# Fields of an InferenceService's predictor that are not a pod's.
OF_KSERVE = {"minReplicas", "maxReplicas", "autoScaling", "deploymentStrategy", "model"}


def objects():
    return by_kind(kustomized(KSERVE))


def predictor():
    return objects()["InferenceService"]["spec"]["predictor"]


def container():
    return objects()["ClusterServingRuntime"]["spec"]["containers"][0]


def base():
    return by_kind(kustomized(MANIFESTS / "base"))["Deployment"]["spec"]


def test_a_cluster_takes_every_object(tmp_path):
    assert_valid(kustomized(KSERVE), tmp_path)


def test_a_cluster_takes_the_deployment_that_comes_of_them(tmp_path):
    spec = {key: value for key, value in predictor().items() if key not in OF_KSERVE}
    labels = {"app": "isvc.cifar10-predictor"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cifar10-predictor"},
        "spec": {
            "selector": {"matchLabels": labels},
            "strategy": predictor()["deploymentStrategy"],
            "template": {"metadata": {"labels": labels}, "spec": {**spec, "containers": [container()]}},
        },
    }
    assert_valid([deployment], tmp_path)


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("ClusterServingRuntime", lambda item: item["spec"].update(protocolVersion="v2")),
        ("ClusterServingRuntime", lambda item: item["spec"]["supportedModelFormats"][0].update(version="one")),
        ("InferenceService", lambda item: item["spec"]["predictor"].update(minReplica=2)),
        ("InferenceService", lambda item: item["metadata"].update(name="Cifar")),
        # KServe would give KEDA a threshold that it cannot read, or none.
        ("InferenceService", lambda item: target(item).update(value="800m")),
        ("InferenceService", lambda item: target(item).pop("value")),
        ("PodMonitor", lambda item: item["spec"]["podMetricsEndpoints"][0].update(portName="h2c")),
    ],
)
def test_the_schemas_of_custom_objects_refuse_what_their_operators_do(kind, spoil):
    item = objects()[kind]
    spoil(item)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(item, schema(kind))


def target(item):
    return item["spec"]["predictor"]["autoScaling"]["metrics"][0]["external"]["target"]


def test_the_runtime_runs_the_container_of_the_base():
    ours, pod = container(), base()["template"]["spec"]
    (theirs,) = pod["containers"]
    assert ours["ports"][0]["containerPort"] == theirs["ports"][0]["containerPort"]
    # Knative allows no named ports in probes, and a runtime no security context of the pod.
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        theirs[probe]["httpGet"]["port"] = theirs["ports"][0]["containerPort"]
    theirs["securityContext"] |= pod["securityContext"]
    theirs["env"].append({"name": "ANYWIDTH_MODELS", "value": "/mnt/models"})
    for side in (ours, theirs):
        side["env"] = sorted(side["env"], key=lambda variable: variable["name"])
        side.pop("ports"), side.pop("name")
    assert ours == theirs


def test_the_pods_stop_and_roll_as_those_of_the_base():
    for field in ("terminationGracePeriodSeconds", "automountServiceAccountToken", "enableServiceLinks"):
        assert predictor()[field] == base()["template"]["spec"][field]
    assert predictor()["deploymentStrategy"]["rollingUpdate"] == base()["strategy"]["rollingUpdate"]


def test_the_model_names_what_the_runtime_has():
    runtime, model = objects()["ClusterServingRuntime"], predictor()["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in [each["name"] for each in runtime["spec"]["supportedModelFormats"]]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]


def test_it_scales_as_the_other_autoscalers():
    scaled = by_kind(kustomized(MANIFESTS / "overlays/keda"))["ScaledObject"]["spec"]
    ours, trigger = predictor(), scaled["triggers"][0]["metadata"]
    external = ours["autoScaling"]["metrics"][0]["external"]
    assert (ours["minReplicas"], ours["maxReplicas"]) == (scaled["minReplicaCount"], scaled["maxReplicaCount"])
    assert external["target"]["value"] == trigger["threshold"]
    assert external["metric"]["serverAddress"] == trigger["serverAddress"]
    assert f"or vector({scaled['fallback']['replicas']} * {trigger['threshold']})" in external["metric"]["query"]
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    for direction, window in ours["autoScaling"]["behavior"].items():
        assert window["stabilizationWindowSeconds"] == behavior[direction]["stabilizationWindowSeconds"]


def query():
    return predictor()["autoScaling"]["metrics"][0]["external"]["metric"]["query"]


def test_the_monitor_gives_the_label_that_the_query_selects_by():
    name = objects()["InferenceService"]["metadata"]["name"]
    monitor, spec = objects()["PodMonitor"]["spec"], objects()["ClusterServingRuntime"]["spec"]
    label = "serving.kserve.io/inferenceservice"
    assert monitor["podTargetLabels"] == [label]
    assert query().count(f'{{{label.replace(".", "_").replace("/", "_")}="{name}"}}') == 2
    assert spec["labels"].items() <= monitor["selector"]["matchLabels"].items()
    selector = by_kind(kustomized(MANIFESTS / "base"))["Service"]["spec"]["selector"]
    assert not selector.items() <= spec["labels"].items(), "the Service of the base would send them requests"
    assert monitor["podMetricsEndpoints"][0]["port"] == spec["containers"][0]["ports"][0]["name"]


def test_the_query_is_the_recorded_demand(tmp_path):
    promql_parser.parse(query())
    # Two replicas of 100 images per second each, which get 60 and 30 a second, and another InferenceService.
    series = [
        counted("cifar10", "a", 60),
        counted("cifar10", "b", 30),
        counted("mnist", "c", 1000),
        *({"series": f"anywidth_capacity_images_per_second{labels(*of)}", "values": "100x20"} for of in REPLICAS),
    ]
    ours = {"expr": query(), "eval_time": "4m", "exp_samples": [{"labels": "{}", "value": 0.9}]}
    recorded = {
        "expr": 'job:anywidth_demand:replicas_rate1m{job="anywidth/cifar10"}',
        "eval_time": "4m",
        "exp_samples": [
            {"labels": 'job:anywidth_demand:replicas_rate1m{namespace="n",job="anywidth/cifar10"}', "value": 0.9}
        ],
    }
    # Without data, as for four replicas.
    absent = {"expr": query(), "eval_time": "4m", "exp_samples": [{"labels": "{}", "value": 3.2}]}
    scenes = [
        {"interval": "15s", "input_series": series, "promql_expr_test": [ours, recorded]},
        {"interval": "15s", "input_series": [counted("mnist", "c", 1000)], "promql_expr_test": [absent]},
    ]
    path = tmp_path / "scenes.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": scenes}))
    ran = subprocess.run(["promtool", "test", "rules", path], text=True, capture_output=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


REPLICAS = [("cifar10", "a"), ("cifar10", "b"), ("mnist", "c")]


def labels(service, instance):
    names = f'namespace="n",job="anywidth/{service}",instance="{instance}",model="one"'
    return f'{{{names},serving_kserve_io_inferenceservice="{service}"}}'


def counted(service, instance, per_second):
    """A counter of images, each 15 seconds."""
    return {"series": f"anywidth_images_total{labels(service, instance)}", "values": f"0+{per_second * 15}x20"}
