"""The dashboard, the rules and the page about them are about metrics that a real syncd has."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from syncd.console.main import COMMANDS
from tests.console.web.monitored import Monitored

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "monitoring"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
RULES = [
    rule for group in yaml.safe_load((FOLDER / "syncd.rules.yml").read_text())["groups"] for rule in group["rules"]
]
BOARD = json.loads((FOLDER / "syncd.json").read_text())
OF_PROMETHEUS = {"up"}
SAID_OF_IT = {"goes", "anew"}
"""Words that follow its name in sentences that name no command."""

UNITS = ROOT / "tests" / "docs" / "syncd.rules.test.yml"


def names_in(expression: str) -> set[str]:
    """Return the metrics that an expression is about."""
    return set(re.findall(r"\b(?:syncd|process)_[a-z_]+\b|\bup\b", expression)) - {"syncd"}


async def test_everything_is_about_metrics_that_there_are(world) -> None:
    """After one delivery and one alert the scrape has all that dashboard and rules ask for, and the table tells it."""
    async with Monitored(world).served() as monitored:
        ticket = world.ticket()
        await world.link(ticket)
        await world.sweep()
        world.helpdesk.customer_reply(ticket.id, "where is my locker key?")
        await world.sync()
        monitored.meter.alerted("command", is_taken=True)
        _, text = await monitored.get("/metrics")
    families = list(text_string_to_metric_families(text))
    there = {sample.name for family in families for sample in family.samples} | OF_PROMETHEUS
    asked = [rule["expr"] for rule in RULES]
    asked += [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", [])]
    asked += [one["query"]["query"] for one in BOARD["templating"]["list"] if isinstance(one["query"], dict)]
    assert len(asked) > 50
    assert {name for expression in asked for name in names_in(expression)} - there == set()
    table = [
        f"| `{family.name}{'_total' if family.type == 'counter' else ''}` | {family.type} | "
        f"{', '.join(sorted({name for sample in family.samples for name in sample.labels} - {'le'}))} | "
        f"{family.documentation} |"
        for family in sorted(families, key=lambda one: one.name)
        if family.name.startswith("syncd_")
    ]
    assert [line for line in PAGE.splitlines() if line.startswith("| `syncd_")] == table, "\n" + "\n".join(table)


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    """A summary, a runbook, a severity; and the commands that it names are there."""
    for rule in RULES:
        assert set(rule["annotations"]) == {"summary", "runbook"}, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        for name in re.findall(r"\bsyncd ([a-z]+) [a-z-]+", rule["annotations"]["runbook"]):
            assert name in {*COMMANDS, *SAID_OF_IT}, rule["alert"]
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_the_dashboard_is_one_that_can_be_imported() -> None:
    """Panels have places and ids of their own, and take the data source that is chosen."""
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"} == {"${datasource}"}
    assert "id" not in BOARD


def test_promtool_takes_the_rules_and_their_units() -> None:
    """Prometheus itself checks the rules, and whether they fire when they should."""
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("SYNCD_TEST_SERVERS") == "required":
            pytest.fail("there is no promtool, and it is required here")
        pytest.skip("no promtool (Debian: it is in the package prometheus)")
    for arguments in (("check", "rules", FOLDER / "syncd.rules.yml"), ("test", "rules", UNITS)):
        ran = subprocess.run([promtool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
