"""What operators read: the table of metrics in the guide, and the alert rules, are those of a running venue."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.venue import LEFT_S, Host, until

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "operating.md"
RULES = ROOT / "config" / "alerts.yml"

BEGIN, END = "<!-- metrics: begin -->", "<!-- metrics: end -->"
FUNCTIONS = frozenset("by for histogram_quantile increase max offset or predict_linear rate sum unless".split())
OF_PROMETHEUS = frozenset({"up"})


class Shown(NamedTuple):
    """One metric: its samples' names, its labels with the values seen, and the row it deserves in the guide."""

    samples: frozenset[str]
    labels: dict[str, set[str]]
    row: str


@pytest.fixture(scope="module")
def shown(shared_host: Host, begun: Path, recording: str) -> dict[str, Shown]:
    """`/metrics` of a venue that has traded, by the name of the metric."""
    shutil.copytree(begun, shared_host.data_dir)
    venue = shared_host.serve("--reference", recording, "--house")
    venue.signup("seen").place(venue.open_market(LEFT_S)["id"], "BUY", 40, 1)

    def text() -> str | None:
        found = venue.http.get("/metrics").text
        return found if "raeth_reference_age_seconds " in found else None

    metrics = {}
    for family in text_string_to_metric_families(until("a reference price", text)):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels: dict[str, set[str]] = {}
        for sample in family.samples:
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
        named = ", ".join(f"`{label}`" for label in labels if label != "le")
        row = f"| `{name}` | {family.type} | {named} | {family.documentation} |"
        metrics[name] = Shown(frozenset(sample.name for sample in family.samples), labels, row)
    return metrics


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process tells less of itself")
def test_the_guide_lists_every_metric(shown: dict[str, Shown]) -> None:
    """No more, no less, in the order and the words of `/metrics`."""
    table = GUIDE.read_text().split(BEGIN)[1].split(END)[0].strip().splitlines()[2:]
    assert table == [metric.row for metric in shown.values()], "\n".join(metric.row for metric in shown.values())


def rules() -> list[dict[str, object]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def test_alerts_speak_of_metrics_that_exist(shown: dict[str, Shown]) -> None:
    """Names, labels, and the values of labels that have a fixed set of them."""
    samples = frozenset().union(*(metric.samples for metric in shown.values()))
    by_sample = {name: metric for metric in shown.values() for name in metric.samples}
    assert len(rules()) <= 15, "few enough to be read"
    for rule in rules():
        expression = str(rule["expr"])
        bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\([a-z, ]*\)|\d+e?\d*[smh]?", " ", expression)
        names = set(re.findall(r"[a-z_]{2,}", bare))
        assert names & (samples | OF_PROMETHEUS), rule
        assert names <= samples | OF_PROMETHEUS | FUNCTIONS, (rule["alert"], names - samples - FUNCTIONS)
        for name, selector in re.findall(r"([a-z_]+)\{([^}]*)\}", expression):
            if name in OF_PROMETHEUS:
                continue
            for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selector):
                seen = by_sample[name].labels[label]
                open_ended = name.startswith("raeth_http_") and label == "status"  # none of them has to occur
                assert open_ended or set(values.split("|")) <= seen, (rule["alert"], label)


def test_every_alert_has_a_place_in_the_guide() -> None:
    """Whoever is woken up is told what to do: the link of each alert is a heading."""
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in GUIDE.read_text().splitlines()
        if line.startswith("#")
    }
    for rule in rules():
        annotations = rule["annotations"]
        assert isinstance(annotations, dict)
        page, _, heading = annotations["runbook"].partition("#")
        assert (ROOT / page) == GUIDE
        assert heading in headings, rule["alert"]
        assert annotations["summary"]
