"""The Helm chart gives the objects of the kustomizations, and refuses values that are wrong."""

import copy
import json
import os
import re
import tomllib

import jsonschema
import pytest
import yaml

from manifests import CHART, MANIFESTS, assert_valid, by_kind, charted, helm, kustomized
from support import ROOT

SCHEMA = CHART / "values.schema.json"
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
# Settings that other values determine.
OF_THE_CHART = {"host", "port", "models", "model"}
# What Helm adds to labels and annotations.
ADDED = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
    "checksum/settings",
}
SCALED = {"hpa": {"kind": "hpa"}, "keda": {"kind": "keda"}}
MONITORED = {name: {"enabled": True} for name in ("serviceMonitor", "rules", "dashboards")}
OUTSIDE = {
    "ingress": {"enabled": True, "hosts": ["anywidth.example"]},
    "gateway": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["anywidth.example"]},
}
# Every optional part, and every spelling of the parts that exclude each other.
COMBINATIONS = {
    "defaults": {},
    "all": {
        "image": {"digest": f"sha256:{'0' * 64}", "pullPolicy": "Always", "pullSecrets": [{"name": "registry"}]},
        "settings": {"threads": 2, "narrowest": 0.5, "drain_wait_ms": None, "log_format": "text"},
        "models": {"source": "claim", "claim": {"name": "models", "subPath": "anywidth"}},
        "serviceAccount": {"name": "other", "annotations": {"example.com/a": "b"}},
        "service": {"type": "LoadBalancer", "annotations": {"example.com/a": "b"}},
        "autoscaling": SCALED["keda"],
        "monitoring": MONITORED,
        **OUTSIDE,
        "podAnnotations": {"example.com/a": "b"},
        "podLabels": {"example.com/a": "b"},
        "priorityClassName": "high",
        "nodeSelector": {"kubernetes.io/arch": "arm64"},
        "tolerations": [{"key": "arm", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "extraEnv": [{"name": "ANYWIDTH_LOG", "value": "debug"}],
        "extraVolumes": [{"name": "keys", "secret": {"secretName": "keys"}}],
        "extraVolumeMounts": [{"name": "keys", "mountPath": "/keys", "readOnly": True}],
    },
    "models of an image": {"models": {"source": "image", "image": {"reference": "models:1", "pullPolicy": "Always"}}},
    "nothing optional": {
        "replicas": 3,
        "serviceAccount": {"create": False, "name": "there"},
        "disruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
    },
    "percentage": {"disruptionBudget": {"maxUnavailable": "25%"}, "autoscaling": SCALED["hpa"]},
}


def comparable(objects):
    """Returns objects by kind and name, without what Helm adds, and with settings as variables of the container."""
    objects = {(item["kind"], item["metadata"]["name"]): copy.deepcopy(item) for item in objects}
    settings = objects.pop(("ConfigMap", "anywidth"), {"data": {}})["data"]
    for item in objects.values():
        without_additions(item)
    spec = objects["Deployment", "anywidth"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    if container.pop("envFrom", None):
        container["env"] += [{"name": name, "value": value} for name, value in settings.items()]
    container["env"].sort(key=lambda variable: variable["name"])
    return objects


def without_additions(item):
    """Removes added labels at any depth, and then empty annotations."""
    for value in item.values() if isinstance(item, dict) else item if isinstance(item, list) else []:
        without_additions(value)
    if isinstance(item, dict):
        for key in ADDED & item.keys():
            del item[key]
        if item.get("annotations") == {}:
            del item["annotations"]


@pytest.mark.parametrize(
    ("folder", "values"),
    [
        ("base", {}),
        ("overlays/monitoring", {"monitoring": MONITORED}),
        ("overlays/hpa", {"monitoring": MONITORED, "autoscaling": SCALED["hpa"]}),
        ("overlays/keda", {"monitoring": MONITORED, "autoscaling": SCALED["keda"]}),
    ],
)
def test_the_chart_gives_the_objects_of_a_kustomization(folder, values):
    assert comparable(charted(values)) == comparable(kustomized(MANIFESTS / folder))


@pytest.mark.parametrize("kind", ["Ingress", "HTTPRoute"])
def test_callers_from_outside_get_in_as_with_a_component(kind):
    (item,) = kustomized(MANIFESTS / "components" / {"Ingress": "ingress", "HTTPRoute": "gateway"}[kind])
    ours = by_kind(charted(OUTSIDE))[kind]
    without_additions(ours)
    assert ours == item


def test_a_package_has_the_files_that_the_chart_shares(tmp_path):
    ran = helm("package", CHART, "--destination", tmp_path)
    assert ran.returncode == 0, ran.stderr
    (package,) = tmp_path.iterdir()
    values = {"monitoring": MONITORED}
    ran = helm("template", "anywidth", package, "--skip-tests", values=values)
    assert list(yaml.safe_load_all(ran.stdout)) == charted(values)


def test_helm_finds_no_fault():
    ran = helm("lint", "--strict", CHART)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("values", COMBINATIONS.values(), ids=COMBINATIONS.keys())
def test_a_cluster_takes_every_object(values, tmp_path):
    assert_valid(charted(values), tmp_path)


def test_a_cluster_takes_the_pod_of_helm_test(tmp_path):
    ran = helm("template", "anywidth", CHART, "--show-only", "templates/tests/answers.yaml")
    (pod,) = yaml.safe_load_all(ran.stdout)
    assert_valid([pod], tmp_path)
    selector = by_kind(charted())["Service"]["spec"]["selector"]
    assert not selector.items() <= pod["metadata"]["labels"].items()
    service = by_kind(charted())["Service"]
    address = f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert address in pod["spec"]["containers"][0]["args"]


def test_values_lead_where_they_should():
    rendered = charted(COMBINATIONS["all"])
    objects = by_kind([item for item in rendered if item["metadata"]["name"] != "anywidth-dashboards"])
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == f"anywidth:0.1.0@sha256:{'0' * 64}"
    assert objects["ConfigMap"]["data"] == {
        "ANYWIDTH_DRAIN_TIMEOUT_MS": "15000",
        "ANYWIDTH_LOG_FORMAT": "text",
        "ANYWIDTH_MAX_BYTES_IN_FLIGHT": "268435456",
        "ANYWIDTH_MAX_PIXELS": "16000000",
        "ANYWIDTH_NARROWEST": "0.5",
        "ANYWIDTH_THREADS": "2",
    }
    # The number of workers that is set, not the reserved cores.
    assert container["env"] == [
        {"name": "ANYWIDTH_MODELS", "value": "/models"},
        {"name": "ANYWIDTH_LOG", "value": "debug"},
    ]
    assert container["volumeMounts"][0] == {
        "name": "models",
        "mountPath": "/models",
        "readOnly": True,
        "subPath": "anywidth",
    }
    assert spec["volumes"][0] == {"name": "models", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}}
    assert spec["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"] == "other"


def test_a_change_of_the_settings_replaces_the_pods():
    def checksum(values):
        template = by_kind(charted(values))["Deployment"]["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/settings"]

    assert checksum({}) == checksum({"service": {"port": 8080}}) != checksum({"settings": {"max_batch": 8}})


def test_two_releases_select_their_own_pods():
    one, two = (by_kind(charted(release=name)) for name in ("one", "two"))
    assert one["Service"]["metadata"]["name"] == "one-anywidth"
    for selector in (lambda objects: objects["Service"]["spec"]["selector"], selectors):
        assert selector(one) != selector(two)


def selectors(objects):
    deployment = objects["Deployment"]["spec"]
    budget, policy = objects["PodDisruptionBudget"]["spec"], objects["NetworkPolicy"]["spec"]
    found = [deployment["selector"], budget["selector"], policy["podSelector"]]
    found += [each["labelSelector"] for each in deployment["template"]["spec"]["topologySpreadConstraints"]]
    assert all(each == found[0] for each in found)
    assert found[0]["matchLabels"] == objects["Service"]["spec"]["selector"]
    assert found[0]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()
    return found


WRONG = {
    "an unknown value": ({"replica": 2}, "replica"),
    "an unknown value inside": ({"image": {"name": "x"}}, "name"),
    "an unknown setting": ({"settings": {"max_pixel": 1}}, "max_pixel"),
    "a setting of the chart": ({"settings": {"port": 9000}}, "port"),
    "a setting of another type": ({"settings": {"max_batch": "many"}}, "max_batch"),
    "a setting out of range": ({"settings": {"narrowest": 1.5}}, "narrowest"),
    "a setting that is not a choice": ({"settings": {"log_format": "xml"}}, "log_format"),
    "models from nowhere": ({"models": {"source": "disk"}}, "source"),
    "a claim without a name": ({"models": {"source": "claim"}}, "claim"),
    "an image without a reference": ({"models": {"source": "image"}}, "image"),
    "a gateway without one": ({"gateway": {"enabled": True}}, "parentRefs"),
    "an ingress without hosts": ({"ingress": {"enabled": True}}, "hosts"),
    "replicas beside an autoscaler": ({"replicas": 2, "autoscaling": {"kind": "keda"}}, "exclude each other"),
    "more replicas at least than at most": ({"autoscaling": {"kind": "hpa", "minReplicas": 30}}, "minReplicas"),
    "an account without a name": ({"serviceAccount": {"create": False}}, "serviceAccount.name"),
    "no time to drain": ({"terminationGracePeriodSeconds": 20}, "terminationGracePeriodSeconds"),
    "no time to drain as the image does": (
        {"terminationGracePeriodSeconds": 9, "settings": {"drain_wait_ms": None, "drain_timeout_ms": None}},
        "terminationGracePeriodSeconds",
    ),
    "a digest that is none": ({"image": {"digest": "latest"}}, "digest"),
    "a policy for nobody": ({"networkPolicy": {"from": []}}, "from"),
}


@pytest.mark.parametrize(("values", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_refused_and_named(values, says):
    ran = helm("template", "anywidth", CHART, values=values)
    assert ran.returncode != 0 and says in ran.stderr, ran.stderr


def test_the_drain_of_the_image_is_the_default():
    image = (ROOT / "Dockerfile").read_text()
    assert "ANYWIDTH_DRAIN_WAIT_MS=2000" in image and "ANYWIDTH_DRAIN_TIMEOUT_MS=7000" in image
    charted({"terminationGracePeriodSeconds": 10, "settings": {"drain_wait_ms": None, "drain_timeout_ms": None}})
    charted({"terminationGracePeriodSeconds": 1, "settings": {"drain_wait_ms": 0, "drain_timeout_ms": 0}})


def test_the_versions_are_those_of_the_crate():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["test"]["image"].endswith(f":{version}")


def documented_settings():
    """Returns the schema of the settings, from their page."""
    properties = {}
    for name, text in re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", CONFIGURATION, re.M | re.S):
        about, line = text.strip().split("\n\n")[0], text.strip().splitlines()[-1]
        kind = line.split(" · ")[3]
        if name not in OF_THE_CHART:
            properties[name] = {"description": about.replace("\\", ""), **of_kind(kind)}
    return properties


def of_kind(kind):
    number = re.search(r"(a whole number|a number) (from|above) (\S+) (?:and up )?to (\S+)", kind)
    if number:
        whole, bound, low, high = number.groups()
        read = int if whole == "a whole number" else float
        lowest = {"from": "minimum", "above": "exclusiveMinimum"}[bound]
        type_ = "integer" if read is int else "number"
        return {"type": [type_, "null"], lowest: plain(read(low)), "maximum": plain(read(high))}
    choices = re.fullmatch(r"\w+: ((?:\S+, )*\S+ or \S+)", kind)
    if choices:
        return {"enum": [*re.split(", | or ", choices[1]), None]}
    return {"type": ["string", "null"]}


def plain(number):
    return int(number) if number == int(number) else number


def test_the_schema_has_the_documented_settings():
    found = json.loads(SCHEMA.read_text())
    settings = found["properties"]["settings"]
    if os.environ.get("ANYWIDTH_WRITE_DOCS"):
        settings["properties"] = documented_settings()
        SCHEMA.write_text(json.dumps(found, indent=2) + "\n")
    told = "a setting changed: ANYWIDTH_WRITE_DOCS=1 tests/deploy/test.sh -k documented_settings writes them"
    assert settings["properties"] == documented_settings(), told
    assert len(documented_settings()) > 20


def test_the_schema_is_strict_and_describes_every_value():
    found = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator.check_schema(found)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert_describes(found, values, "values")


def assert_describes(schema, values, path):
    """Every object with properties refuses others, describes them, and has them all in values.yaml."""
    for name, property_ in schema["properties"].items():
        assert property_["description"].endswith("."), f"{path}.{name}"
        if "properties" in property_:
            assert property_["additionalProperties"] is False, f"{path}.{name}"
            if name != "settings":
                assert_describes(property_, values[name], f"{path}.{name}")
    # Without a default: values of a parent chart, and claims of devices.
    assert schema["properties"].keys() - {"global", "claims"} == values.keys(), path
