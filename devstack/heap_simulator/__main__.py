"""`python -m devstack.heap_simulator`: the simulator as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.heap_simulator.limits import Limits
from devstack.heap_simulator.partner_app import PartnerApp
from devstack.heap_simulator.server import SimulatorServer
from devstack.heap_simulator.world import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXIT_DONE = 0
EXIT_FAILED = 1
PARTNER_OPTIONS = (
    "client_id",
    "client_secret",
    "redirect_uri",
    "webhook_url",
    "webhook_secret",
)
"""What of the simulated partner app is an option of this command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit code is 0 then, 1 if the port cannot be had."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.host == "localhost":
        options.host = "127.0.0.1"  # one address, so that there is one port
    if not (options.allow_remote or _is_loopback(options.host)):
        parser.error(f"{options.host} can be reached from outside; say --allow-remote to mean it")
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return EXIT_FAILED
    return EXIT_DONE


async def _serve(options: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = SimulatorServer(_settings(options), host=options.host, port=options.port)
    async with server:
        with _port_written(options.port_file, server.port):
            sys.stdout.write(f"Heap simulator listens on {server.url}\n")
            sys.stdout.flush()
            await stopping.wait()


def _settings(options: argparse.Namespace) -> SimulatorSettings:
    settings = SimulatorSettings()
    return SimulatorSettings(
        limits=Limits(
            events_per_minute_per_app=options.events_per_minute_per_app,
            events_per_minute_per_identity=options.events_per_minute_per_identity,
            retry_after=options.retry_after,
        ),
        only_apps=options.only_apps,
        keep_payloads=options.keep_payloads,
        seed=options.seed,
        explain=options.explain,
        max_body_bytes=options.max_body_bytes,
        keep_alive_seconds=options.keep_alive_seconds,
        partner_app=PartnerApp(**{name: getattr(options, name) for name in PARTNER_OPTIONS}),
        environments=options.environments or settings.environments,
    )


def _parser() -> argparse.ArgumentParser:
    limits, settings = Limits(), SimulatorSettings()
    parser = argparse.ArgumentParser(
        prog="python -m devstack.heap_simulator",
        description="Play Heap as its contract says: POST /api/track, OAuth for partners, "
        "segments; and /_sim/... for what Heap has no address for.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    add("--port-file", type=Path, help="write the port here once it listens")
    add("--allow-remote", action="store_true", help="allow a host that is not loopback")
    add(
        "--events-per-minute-per-app",
        type=_count,
        default=limits.events_per_minute_per_app,
        help="of one app id, in any 60 seconds",
    )
    add(
        "--events-per-minute-per-identity",
        type=_count,
        default=limits.events_per_minute_per_identity,
        help="of one identity of one app id, in any 60 seconds",
    )
    add(
        "--retry-after",
        choices=["none", "seconds", "date"],
        default=limits.retry_after,
        help="what a 429 for these limits says about coming back",
    )
    add("--only-apps", type=_app_ids, help="app ids that exist, by comma; others are answered 401")
    add("--seed", type=int, default=settings.seed, help="of the random numbers faults draw")
    add("--keep-payloads", type=_count, default=settings.keep_payloads, help="events kept whole")
    add("--explain", action="store_true", help="name the broken rule in a header of refusals")
    add("--max-body-bytes", type=_count, default=settings.max_body_bytes, help="more is a 413")
    add(
        "--keep-alive-seconds",
        type=float,
        default=settings.keep_alive_seconds,
        help="how long an idle connection stays open",
    )
    add("--environments", type=_environments, help="ID=NAME by comma; who allows chooses of them")
    for name in PARTNER_OPTIONS:
        default = getattr(settings.partner_app, name)
        add(f"--{name.replace('_', '-')}", default=default, help="of the simulated partner app")
    return parser


def _environments(text: str) -> dict[str, str]:
    pairs = (each.strip().partition("=") for each in text.split(","))
    return {env_id: name or f"Environment {env_id}" for env_id, _, name in pairs if env_id}


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return count


def _app_ids(text: str) -> frozenset[str]:
    return frozenset(name for part in text.split(",") if (name := part.strip()))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _port_written(path: Path | None, port: int) -> Iterator[None]:
    if path is None:
        yield
        return
    # Renamed into place, so that nobody who waits for the file reads half of it.
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(f"{port}\n", encoding="ascii")
    half.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
