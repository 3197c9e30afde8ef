"""What the measurements ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Final

import confluent_kafka
import psutil

from bench.report import Section

_PACKAGES: Final = ("confluent-kafka", "fastavro", "orjson", "httpx")


def machine() -> Section:
    """Tell cores, memory, processor, system and versions; no names of hosts or users."""
    figures = {
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "librdkafka": confluent_kafka.libversion()[0],
        **{name: version(name) for name in _PACKAGES},
    }
    return Section("machine", [f"{name:16s} {value}" for name, value in figures.items()], figures)


def _processor() -> str:
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in facts if line.startswith("model name"))
    return next(models, platform.machine())
