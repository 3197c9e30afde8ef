"""What is shipped for Prometheus and Grafana names metrics that exist, and is accepted by them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from heapline.telemetry.metrics import REGISTRY

_ROOT: Final = Path(__file__).parents[2]
_PROMETHEUS: Final = _ROOT / "deploy" / "prometheus"
_DASHBOARDS: Final = _ROOT / "deploy" / "grafana" / "dashboards"
_NAME: Final = re.compile(r"\bheapline_[a-z_]+")
_SUFFIXES: Final = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


def _known() -> set[str]:
    """Give every series the catalogue leads to."""
    return {
        metric.name + suffix
        for metric in REGISTRY.collect()
        for suffix in _SUFFIXES.get(metric.type, ())
    }


def _labels() -> dict[str, set[str]]:
    """Give the labels of each metric of the catalogue, by its name without suffix."""
    return {
        collector._name: set(collector._labelnames)  # type: ignore[attr-defined]  # no public way
        for collector in REGISTRY._collector_to_names
    }


def _alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((_PROMETHEUS / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _panels() -> list[dict[str, Any]]:
    found = [json.loads(path.read_text("utf-8")) for path in sorted(_DASHBOARDS.glob("*.json"))]
    return [panel for dashboard in found for panel in dashboard["panels"]]


def _expressions() -> list[str]:
    shown = [target["expr"] for panel in _panels() for target in panel["targets"]]
    return [rule["expr"] for rule in _alerts()] + shown


def test_every_metric_named_exists() -> None:
    """Alerts and dashboards name no series that the catalogue does not lead to."""
    named = {name for text in _expressions() for name in _NAME.findall(text)}
    assert len(named) > 10
    assert named <= _known()


def test_every_label_selected_exists() -> None:
    """A selector like {reason="x"} names labels which that metric has."""
    labels = _labels()
    selected = re.compile(r"\b(heapline_[a-z_]+)\{([^}]*)\}")
    found = [each for text in _expressions() for each in selected.findall(text)]
    assert found
    for name, selectors in found:
        metric = re.sub(r"_(total|bucket|sum|count)$", "", name)
        wanted = {re.split(r"[=!]", part)[0].strip() for part in selectors.split(",")}
        assert wanted <= labels[metric], name


def test_every_alert_has_its_runbook() -> None:
    """Each alert says how urgent it is, and docs/runbook.md what to do about it."""
    runbook = (_ROOT / "docs" / "runbook.md").read_text("utf-8")
    headings = set(re.findall(r"^## (\w+)$", runbook, re.MULTILINE))
    assert headings == {rule["alert"] for rule in _alerts()}
    assert all(rule["labels"]["severity"] in {"page", "ticket"} for rule in _alerts())


def test_panels_do_not_overlap() -> None:
    """Panels have different numbers and places on the board."""
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in _panels()]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in _panels()})


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_prometheus_accepts_it(arguments: tuple[str, ...]) -> None:
    """Prometheus' own tool finds no fault, and the alerts fire when they should."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    done = subprocess.run(
        [tool, *arguments], cwd=_PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
