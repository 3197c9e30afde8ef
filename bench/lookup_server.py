"""The lookup API in a process of its own on one core, as `heapline serve --only lookups` runs it.

`python -m bench.lookup_server --port-file FILE [--parts console]`; prints what it cost when it is
told to end.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import orjson

from bench.counting_server import write_port
from bench.reading import Reading, peak_resident_bytes
from cli.serve import application, parts_of
from heapline.settings import load_settings
from web.server import listen, run


def on_one_core() -> None:
    """Keep to the first core this process may use, where the system can be told so."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--parts", default="lookups", help="as `heapline serve --only`")
    chosen = parser.parse_args()
    port_file: Path = chosen.port_file
    parts = parts_of(chosen.parts)
    on_one_core()
    settings = load_settings()
    web = settings.web.model_copy(update={"port": 0})
    with listen(web) as listening:
        app = application(settings, web, parts, needs_index="lookups" in parts)
        write_port(port_file, listening.getsockname()[1])
        first = Reading.now()
        run(app, listening, on_stopping=lambda: None)
    spent = Reading.now().cpu_seconds - first.cpu_seconds
    figures = {"cpu_seconds": spent, "peak_bytes": peak_resident_bytes()}
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")


if __name__ == "__main__":
    main()
