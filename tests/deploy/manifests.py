"""Rendering of kustomizations and of the Helm chart, and validation of the rendered objects."""

import functools
import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import yaml

from support import DEPLOY

MANIFESTS = DEPLOY / "kubernetes"
CHART = DEPLOY / "helm/anywidth"
SCHEMAS = Path(__file__).parent / "schemas"
PROGRAMS = Path(__file__).parent / ".venv/bin"


def kustomized(folder):
    """Returns the objects of a kustomization, through kubectl if installed, else through the subset used here."""
    if shutil.which("kubectl"):
        return list(yaml.safe_load_all(by_kubectl(folder)))
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert kustomization.keys() <= {"apiVersion", "kind", "resources", "components", "configMapGenerator"}
    objects = []
    for resource in kustomization.get("resources", []) + kustomization.get("components", []):
        path = folder / resource
        objects += kustomized(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for wanted in kustomization.get("configMapGenerator", []):
        metadata = {"name": wanted["name"], "labels": wanted["options"]["labels"]}
        data = {name: (folder / name).read_text() for name in wanted["files"]}
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    return objects


@functools.cache
def by_kubectl(folder):
    ran = subprocess.run(["kubectl", "kustomize", folder], text=True, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def helm(*arguments, values=None):
    """Runs helm; values are those of a file, as an object."""
    command = [PROGRAMS / "helm", *arguments] + (["--values", "-"] if values is not None else [])
    return subprocess.run(command, text=True, capture_output=True, input=json.dumps(values))


def charted(values=None, release="anywidth"):
    """Returns the objects of the chart, without the pod of `helm test`."""
    ran = helm("template", release, CHART, "--skip-tests", values=values or {})
    assert ran.returncode == 0, ran.stderr
    return list(yaml.safe_load_all(ran.stdout))


def by_kind(objects):
    kinds = {item["kind"]: item for item in objects}
    assert len(kinds) == len(objects), "one object of each kind"
    return kinds


def schema(kind):
    return json.loads((SCHEMAS / f"{kind}.json").read_text())


def assert_valid(objects, folder):
    """Validates objects strictly: by our schemas of custom objects, and by those of Kubernetes."""
    known = []
    for item in objects:
        if (SCHEMAS / f"{item['kind']}.json").exists():
            jsonschema.validate(item, schema(item["kind"]))
        else:
            known.append(item)
    if not known:
        return
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(known))
    checked = subprocess.run([PROGRAMS / "kubernetes-validate", "--strict", path], text=True, capture_output=True)
    said = checked.stdout + checked.stderr
    # Unknown kinds only give a warning.
    assert checked.returncode == 0 and not re.search("warn|couldn't find", said, re.I), said
