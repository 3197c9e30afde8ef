"""Every metric, as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

from cli.reference.markdown import code, table
from heapline.telemetry.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = """# Metrics

`heapline serve` answers them at `GET /metrics`; the other services at the port of their own
settings. Prometheus' text format; counters end in `_total`, histograms in `_bucket`, `_sum` and
`_count`. Alert rules and a dashboard that use them are in `deploy/`. Made from the code by `make
reference`.
"""
_SUFFIX: Final = {"counter": "_total"}


def metric_reference() -> str:
    """Give the page."""
    return "\n".join([*_HEAD.splitlines(), "", *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    found = {each for each in REGISTRY._collector_to_names if isinstance(each, _KINDS)}  # noqa: SLF001 -- there is no public way to the labels
    rows = []
    for collector in found:
        (family,) = collector.describe()
        labels = ", ".join(map(code, collector._labelnames))  # noqa: SLF001 -- as above
        name = family.name + _SUFFIX.get(family.type, "")
        rows.append((code(name), family.type, labels or "none", family.documentation))
    yield from table(("metric", "kind", "labels", "meaning"), sorted(rows))


_KINDS: Final = (Counter, Gauge, Histogram)
