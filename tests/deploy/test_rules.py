"""Rules and alerts, checked by promtool."""

import re
import subprocess
from pathlib import Path

import yaml

from support import DEPLOY, ROOT, RULES

SCENES = Path(__file__).with_name("rules_test.yml")
OPERATING = (ROOT / "docs/operating.md").read_text()


def alerts():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def promtool(*arguments):
    ran = subprocess.run(["promtool", *arguments], text=True, capture_output=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_rules_hold():
    promtool("check", "rules", RULES)
    promtool("check", "config", DEPLOY / "compose/prometheus/prometheus.yml")


def test_every_alert_fires_in_its_scene_and_keeps_still_in_another():
    promtool("test", "rules", SCENES)
    fires, still = set(), set()
    for scene in yaml.safe_load(SCENES.read_text())["tests"]:
        for case in scene.get("alert_rule_test", []):
            (fires if case.get("exp_alerts") else still).add(case["alertname"])
    names = {alert["alert"] for alert in alerts()}
    assert fires == names and still == names


def test_every_alert_says_what_is_wrong_and_where_to_read_on():
    headings = {heading.lower() for heading in re.findall(r"^#+ (\S+)$", OPERATING, re.M)}
    for alert in alerts():
        assert {"summary", "description", "runbook"} <= alert["annotations"].keys(), alert["alert"]
        assert alert["labels"]["severity"] in ("page", "ticket")
        page, heading = alert["annotations"]["runbook"].split("#")
        assert page == "docs/operating.md" and heading == alert["alert"].lower() and heading in headings
