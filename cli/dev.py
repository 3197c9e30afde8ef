"""`heapline dev`: the embedded world on this machine."""

from __future__ import annotations

import shlex
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
from rich.console import Console

from cli.heap_allow import heap_allow
from cli.heap_sync import heap_sync
from devstack.heap_simulator import SimulatorClient
from devstack.heapline_process import NAME, HeaplineProcess
from devstack.log_files import follow, tail
from devstack.programs import prepare
from devstack.progress import ConsoleReporter
from devstack.stack import ServerStatus, Stack
from heapline.clock import SystemClock
from heapline.errors import HeaplineError
from heapline.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.world import World

app = typer.Typer(
    no_args_is_help=True,
    help="Run a real Kafka, schema registry and Heap simulator on this machine, without Docker.",
)

app.command("heap-allow")(heap_allow)
app.command("heap-sync")(heap_sync)

_FAILED: Final = 1
_INSTANCE: Final = "HEAPLINE_INSTANCE_ID"
_out = Console(soft_wrap=True, highlight=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False)

_Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Where the world is kept. Default: $HEAPLINE_DEV__DATA, "
        "else heapline/dev in the folder for application data (~/.local/share).",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class ServerName(StrEnum):
    """Whose log."""

    KAFKA = "kafka"
    REGISTRY = "registry"
    HEAP = "heap"


@app.command()
def up(data: _Data = None) -> None:
    """Start what does not run yet, and leave it running.

    The first start fetches Kafka and the registry (about 200 MB), once for this person.
    """
    with _told():
        stack = _stack(data)
        programs = prepare(ConsoleReporter(_err), base_url=load_settings().dev.maven_url)
        with _err.status("Starting Kafka, the schema registry and the Heap simulator"):
            world = stack.up(programs=programs)
        _print_world(world)


@app.command()
def down(
    data: _Data = None,
    *,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete all topics, schemas and logs too.")
    ] = False,
) -> None:
    """Stop everything; topics and schemas stay for the next start."""
    with _told():
        stack = _stack(data)
        _out.print("Stopped." if stack.down(delete_data=delete_data) else "Nothing was running.")
        if delete_data:
            _out.print(f"Deleted what was kept in {stack.data_folder}.", markup=False)


@app.command()
def status(data: _Data = None, *, as_json: _Json = False) -> None:
    """Show how each server is."""
    with _told():
        stack = _stack(data)
        found = stack.status()
        if as_json:
            servers = [each.as_json() for each in found]
            print(orjson.dumps({"data": str(stack.data_folder), "servers": servers}).decode())
        else:
            _print_status(found)


@app.command()
def logs(
    server: Annotated[ServerName | None, typer.Argument(help="Default: all of them.")] = None,
    data: _Data = None,
    *,
    keep_reading: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many last lines.")] = 50,
) -> None:
    """Print the ends of the servers' logs."""
    with _told():
        wanted = {
            each.name: each.log
            for each in _stack(data).world().servers
            if server in {None, each.name}
        }
        for name, log in wanted.items():
            for line in tail(log, lines):
                _print_line(name, line, named=server is None)
        with suppress(KeyboardInterrupt):
            for name, line in follow(wanted, SystemClock()) if keep_reading else ():
                _print_line(name, line, named=server is None)


@app.command()
def env(data: _Data = None) -> None:
    """Print the running world's settings for a shell: eval "$(heapline dev env)".

    The simulated Heap then knows heapline at HEAPLINE_WEB__PORT of this machine. Where
    `heapline demo --keep` left heapline running, these are its settings.
    """
    with _told():
        stack = _stack(data)
        world = stack.running_world()
        if world is None:
            raise HeaplineError(
                f"no world is running in {stack.data_folder}: run `heapline dev up` first"
            )
        of_a_demo = HeaplineProcess(stack.data_folder / NAME, SystemClock()).settings()
        for name, value in (of_a_demo or _settings_of(world)).items():
            if name != _INSTANCE:  # each process has its own
                print(f"export {name}={shlex.quote(value)}")


def _settings_of(world: World) -> dict[str, str]:
    here = f"http://127.0.0.1:{load_settings().web.port}"
    partner_app = SimulatorClient(world.heap_url).change_partner_app(
        redirect_uri=f"{here}/heap/callback", webhook_url=f"{here}/heap/webhook"
    )
    return {**world.environment(), **partner_app.environment()}


def _stack(data: Path | None) -> Stack:
    return Stack(data or load_settings().dev.data)


def _print_world(world: World) -> None:
    for server in world.servers:
        if server.is_running():
            _out.print(f"{server.title:<20} {server.address}", markup=False)
    _out.print(f'\nKept in {world.data_folder}. Next: eval "$(heapline dev env)"', markup=False)


def _print_status(found: list[ServerStatus]) -> None:
    for each in found:
        details = f"pid {each.pid}, {each.memory_bytes // 1_000_000} MB" if each.pid else ""
        print(f"{each.name:<9} {each.state:<14} {each.address:<44} {details}".rstrip())


def _print_line(name: str, line: str, *, named: bool) -> None:
    print(f"{name:<8} | {line}" if named else line, flush=True)


@contextmanager
def _told() -> Iterator[None]:
    """Tell a failure in words, with exit code 1."""
    try:
        yield
    except HeaplineError as error:
        _err.print(str(error), markup=False)
        raise typer.Exit(_FAILED) from error
    except KeyboardInterrupt:
        _err.print("Interrupted; what had been started for this was stopped again.")
        raise typer.Exit(_FAILED) from None
