"""Where a demo runs, and settings that come from nowhere else."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from devstack.heap_simulator import Limits
from devstack.stack import Stack, default_data_folder
from devstack.temporary import temporary_world
from heapline.settings import (
    HeapSettings,
    KafkaSettings,
    LimitSettings,
    SchemaRegistrySettings,
    Settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

    from devstack.programs import Programs
    from devstack.world import World

RAISED: Final = 60
"""So many times Heap's limits hold in the demo: a minute of Heap passes in a second."""
_INSTANCE: Final = "demo"


class _ExplicitSettings(Settings):
    """Settings that look neither at the environment nor at `.env`.

    The demo must never reach a Kafka that somebody's shell points to.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- pydantic-settings names the parameters
        init_settings: PydanticBaseSettingsSource,
        *_: Any,  # noqa: ANN401 -- sources not wanted here
        **__: Any,  # noqa: ANN401 -- as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what the caller gives and nothing else."""
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Place:
    """The servers of one demo.

    Attributes:
        heap_url: of a Heap simulator that serves nobody else meanwhile.
        prefix: put before all names, where others use the same Kafka.
    """

    bootstrap_servers: str
    registry_url: str
    heap_url: str
    prefix: str = ""

    @classmethod
    def in_world(cls, world: World) -> Place:
        """Take the servers of a world."""
        return cls(world.bootstrap_servers, world.registry_url, world.heap_url)

    def environment(self) -> dict[str, str]:
        """Give the same as `settings`, by environment variable."""
        limits = _raised_limits()
        return {
            "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "HEAPLINE_KAFKA__PREFIX": self.prefix,
            "HEAPLINE_SCHEMA_REGISTRY__URL": self.registry_url,
            "HEAPLINE_HEAP__API_URL": self.heap_url,
            "HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_APP": str(limits.events_per_minute_per_app),
            "HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_IDENTITY": str(
                limits.events_per_minute_per_identity
            ),
            "HEAPLINE_INSTANCE_ID": _INSTANCE,
        }

    def settings(self) -> Settings:
        """Give the settings of everything the demo runs."""
        return _ExplicitSettings(
            instance_id=_INSTANCE,
            kafka=KafkaSettings(bootstrap_servers=self.bootstrap_servers, prefix=self.prefix),
            schema_registry=SchemaRegistrySettings(url=self.registry_url),
            heap=HeapSettings(api_url=self.heap_url),
            limits=_raised_limits(),
        )


def _raised_limits() -> LimitSettings:
    usual = LimitSettings()
    return LimitSettings(
        events_per_minute_per_app=usual.events_per_minute_per_app * RAISED,
        events_per_minute_per_identity=usual.events_per_minute_per_identity * RAISED,
    )


def heap_limits() -> dict[str, int]:
    """Give what the simulator has to be told, in the words of its `change_limits`."""
    heap = Limits()
    return {
        "events_per_minute_per_app": heap.events_per_minute_per_app * RAISED,
        "events_per_minute_per_identity": heap.events_per_minute_per_identity * RAISED,
    }


def kept_folder(configured: Path | None) -> Path:
    """Tell where a demo that is left running keeps its data.

    Args:
        configured: `HEAPLINE_DEV__DATA`; the demo then has a folder of its own in it.
    """
    return configured / "demo" if configured else default_data_folder().parent / "demo"


@contextmanager
def demo_world(programs: Programs, kept_in: Path | None) -> Iterator[World]:
    """Run a world with nothing in it.

    Args:
        programs: what to run, fetched before.
        kept_in: leave it running, in this folder, unless an error or Ctrl-C ends the block; what an
            earlier demo left there is replaced. None: the world is gone afterwards in any case.

    Raises:
        HeaplineError: as `Stack.up`.
    """
    if kept_in is None:
        with temporary_world() as world:
            yield world
        return
    stack = Stack(kept_in)
    stack.down(delete_data=True)
    world = stack.up(programs=programs)
    try:
        yield world
    except BaseException:
        stack.down()
        raise


@contextmanager
def demo_folder(kept_in: Path | None) -> Iterator[Path]:
    """Give a folder for heapline's own state and log; it stays where the world does."""
    if kept_in is None:
        with TemporaryDirectory(prefix="heapline-demo-") as made:
            yield Path(made)
        return
    folder = kept_in / "heapline"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
