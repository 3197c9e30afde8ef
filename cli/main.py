"""The `heapline` command: one module for each subcommand, imported when it is called."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from cli.output import ExitCode, tell_error
from cli.plain_text import reflowed

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Mount:
    """One subcommand.

    Attributes:
        name: as typed.
        summary: one line for `heapline --help`.
        attribute: of the module `cli.<name>`: a Typer app, or a function that is the command.
        is_service: whether it runs for long and logs; others print results, and log warnings only.
    """

    name: str
    summary: str
    attribute: str = "app"
    is_service: bool = False


MOUNTS: Final = (
    Mount("demo", "See all of it work on this machine, with made-up events.", "demo"),
    Mount("dev", "Run Kafka, a schema registry and a Heap simulator on this machine."),
    Mount("doctor", "Check everything heapline needs, and say how to mend it.", "doctor"),
    Mount("config", "Show, check and describe the settings."),
    Mount("topics", "Create Kafka's topics, or tell where they differ."),
    Mount("schemas", "Register the Avro contracts, or tell where they differ."),
    Mount("connections", "Join workspaces to Heap environments; turn Send on and off."),
    Mount("publish", "Publish events from a file or standard input.", "publish"),
    Mount("serve", "Answer over HTTP: webhook, events, lookups.", "serve", is_service=True),
    Mount("forward", "Deliver events to Heap.", "forward", is_service=True),
    Mount(
        "apply-syncs",
        "Turn Heap's segment pages into memberships.",
        "apply_syncs",
        is_service=True,
    ),
    Mount(
        "materialize",
        "Bring segment memberships to this machine, for lookups.",
        "materialize",
        is_service=True,
    ),
    Mount("run", "All of these four in one process.", "run", is_service=True),
    Mount("segments", "List Heap's segments: size, status and age.", "segments"),
    Mount("lookup", "Tell which Heap segments a user is in.", "lookup"),
    Mount("audience", "Ask who is in an audience: evaluate, list, count."),
    Mount("sql", "Ask memberships, their history and outcomes in SQL.", "sql"),
    Mount("export", "Write what analysts read as Parquet files.", "export"),
    Mount("state", "Verify, rebuild, shrink, back up and restore this machine's store."),
    Mount("status", "Show what waits for Heap, what is paused, and why; live.", "status"),
    Mount("why", "Tell why an event is or is not in Heap.", "why"),
    Mount("dlq", "Look at events that could not be delivered, and send them again."),
    Mount("replay", "Send a workspace's past events to Heap again.", "replay"),
    Mount("forget", "Erase a user, and say what is gone when.", "forget"),
)
"""In the order of `heapline --help`: the way a newcomer goes."""

_BY_NAME: Final = {mount.name: mount for mount in MOUNTS}


class Subcommands(TyperGroup):
    """Subcommands of which only names and summaries are known until one is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 -- typer keeps its command classes private
        """Import the subcommand that is called."""
        name, stub, rest = super().resolve_command(ctx, args)
        mount = _BY_NAME.get(name or "")
        if mount is None:
            return name, stub, rest
        if not ctx.resilient_parsing and "--help" not in rest:
            _configure_logs(mount)
        return name, load_command(mount), rest


def load_command(mount: Mount) -> Any:  # noqa: ANN401 -- as above
    """Import a subcommand."""
    module = importlib.import_module(f"cli.{mount.name.replace('-', '_')}")
    target = getattr(module, mount.attribute)
    if isinstance(target, typer.Typer):
        return _with_flowing_help(typer.main.get_group(target))
    single = typer.Typer(add_completion=False)
    single.command(mount.name)(target)
    return _with_flowing_help(typer.main.get_command(single))


def _with_flowing_help(command: Any) -> Any:  # noqa: ANN401 -- as above
    """Let help break its lines where the terminal ends, not where the docstring did."""
    command.help = reflowed(command.help or "")
    for each in getattr(command, "commands", {}).values():
        _with_flowing_help(each)
    return command


app = typer.Typer(
    cls=Subcommands,
    add_completion=True,
    pretty_exceptions_enable=False,
    epilog="First time here? `heapline demo` shows all of it in two minutes. "
    "With a Kafka of your own: `heapline config example > .env`, fill it in, `heapline doctor`.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from heapline import __version__  # noqa: PLC0415 -- only where it is asked for

        print(f"heapline {__version__}")
        raise typer.Exit


for _mount in MOUNTS:
    app.command(_mount.name, help=_mount.summary)(lambda: None)


@app.callback(invoke_without_command=True)
def _heapline(
    ctx: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Carry Command AI events to Heap, and Heap segments back: both ways through Apache Kafka."""
    del version
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def _configure_logs(mount: Mount) -> None:
    """Set up logs; where the settings are not valid, the command itself will say so."""
    from heapline.errors import InvalidSetting  # noqa: PLC0415 -- keeps `heapline --help` quick
    from heapline.settings import LogSettings, load_settings  # noqa: PLC0415 -- as above
    from heapline.telemetry.logs import configure_logs  # noqa: PLC0415 -- as above

    try:
        log = load_settings().log
    except InvalidSetting:
        log = LogSettings()
    if not mount.is_service and log.level == "info":
        log = log.model_copy(update={"level": "warning"})
    configure_logs(log)
    if not mount.is_service and log.level != "debug":
        # What librdkafka has to say about an absent broker, the command says once and better.
        logging.getLogger("librdkafka").setLevel(logging.CRITICAL)


def run(arguments: Sequence[str], command: typer.Typer = app) -> int:
    """Run one command line and give its exit code; prints errors in words, never raises."""
    try:
        command(args=list(arguments), prog_name="heapline")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else ExitCode.FAILED
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- the last place where an error can become words
        code = tell_error(error)
    return _flushed(code)


def _flushed(code: int) -> int:
    """A reader that went away (`heapline … | head`) is no error to complain of at the end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or ExitCode.FAILED
    return code


def main() -> None:
    """Run the command line this process was started with."""
    sys.exit(run(sys.argv[1:]))
