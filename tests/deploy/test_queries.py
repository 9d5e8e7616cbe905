"""A server under load has the metrics that dashboards and rules query."""

import json
import re
import subprocess

import pytest
import yaml

from support import DASHBOARDS, DEPLOY, ROOT, RULES, wait_for

# Grafana's variables, for the last minute.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1m", "$job": ".+", "$instance": ".+"}
ADAPTER = DEPLOY / "kubernetes/overlays/hpa/prometheus-adapter.yaml"


def panel_queries():
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield pytest.param(target["expr"], id=f"{path.stem}: {panel['title']} {target['refId']}")


def rule_queries():
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield pytest.param(rule["expr"], id=rule.get("record") or rule["alert"])


def assert_data(prometheus, query):
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    wait_for(f"data of {query}", lambda: prometheus.query(query), seconds=15)


@pytest.mark.parametrize("query", panel_queries())
def test_every_panel_shows_data(watched, query):
    assert_data(watched.prometheus, query)


@pytest.mark.parametrize("query", rule_queries())
def test_every_rule_has_data_to_decide_on(watched, query):
    # An alert that does not fire has no data; the compared series must have some.
    query = re.sub(r"absent\((.*)\)", r"\1", query)
    assert_data(watched.prometheus, re.sub(r" (>|<|==) ", r" \1 bool ", query))


def test_prometheus_finds_no_fault_with_the_metrics(watched):
    checked = subprocess.run(["promtool", "check", "metrics"], input=watched.metrics, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr


def test_every_metric_that_is_named_anywhere_exists(watched):
    exist = set(re.findall(r"^# TYPE (\w+)", watched.metrics, re.M))
    recorded = {rule["record"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"] if "record" in rule}
    adapted = {rule["name"]["as"] for rule in yaml.safe_load(ADAPTER.read_text())["rules"]["external"]}
    exist |= {f"{name}_{part}" for name in exist for part in ("bucket", "count", "sum")} | recorded | adapted
    for path in [*DEPLOY.rglob("*.y*ml"), *DEPLOY.rglob("*.json"), *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        named = set(re.findall(r"(?<![\w/.:-])(?:job:)?anywidth_[a-z0-9_]+(?::\w+)?", path.read_text()))
        assert named <= exist, f"{path.relative_to(ROOT)}: {named - exist}"
