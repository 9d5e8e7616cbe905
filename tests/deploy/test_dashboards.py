"""Every dashboard is readable and valid for Grafana."""

import json
import re
from itertools import combinations

import promql_parser
import pytest
import yaml

from support import DASHBOARDS, DEPLOY

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATES = ("rate", "irate", "increase")


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def dashboard(request):
    return json.loads(request.param.read_text())


def queries(dashboard):
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_every_panel_says_what_it_shows(dashboard):
    for panel in dashboard["panels"]:
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"] and all(target["legendFormat"] for target in panel["targets"]), panel["title"]
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)


def test_the_source_is_a_choice(dashboard):
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    for name in ("job", "instance"):
        variable = variables[name]
        assert variable["multi"] and variable["includeAll"] and variable["allValue"] == ".+", name
        assert variable["datasource"] == SOURCE
    for panel in dashboard["panels"]:
        assert all(part["datasource"] == SOURCE for part in (panel, *panel["targets"])), panel["title"]


def test_every_query_parses_and_is_of_the_chosen_instances(dashboard):
    for query in queries(dashboard):
        promql_parser.parse(query.replace("$__rate_interval", "1m").replace("$__range", "1h"))
        for name, chosen in re.findall(r"((?:job:)?anywidth_[\w:]+)\{([^}]*)\}", query):
            assert 'job=~"$job"' in chosen, query
            assert name.startswith("job:") or 'instance=~"$instance"' in chosen, query
        assert not re.search(r"anywidth_[\w:]+(?![\w:{])", query), f"no selector: {query}"


def test_counters_are_read_as_rates_over_grafanas_interval(dashboard):
    for query in queries(dashboard):
        for function in re.findall(rf"\b({'|'.join(RATES)})\(", query):
            assert re.search(rf"\b{function}\([^\[]*\[\$__rate_interval\]\)", query), query
        for counter in re.findall(r"anywidth_\w+_(?:total|bucket|sum|count)\b", query):
            assert re.search(rf"({'|'.join(RATES)})\({counter}\b", query), query


def test_panels_stand_beside_each_other(dashboard):
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart, (a, b)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_a_dashboard_is_changed_here_and_nowhere_else(dashboard):
    assert dashboard["editable"] is False and dashboard["uid"].startswith("anywidth-")


def test_grafana_is_told_where_everything_is():
    provisioning = DEPLOY / "compose/grafana/provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"][0]
    provider = yaml.safe_load((provisioning / "dashboards/anywidth.yml").read_text())["providers"][0]
    services = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"]
    assert source["url"] == "http://prometheus:9090" and "prometheus" in services
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.removeprefix(provider["options"]["path"] + "/") in [path.name for path in DASHBOARDS]
