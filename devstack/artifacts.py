"""The programs of the embedded world: what they are, pinned by SHA-256."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_JAR: Final = "jar"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a Maven repository.

    Attributes:
        coordinates: `group:artifact:version`, or `group:artifact:version:extension:classifier`.
        sha256: of the whole file, in lower-case hex.
        size_bytes: of the whole file.
    """

    coordinates: str
    sha256: str
    size_bytes: int

    @property
    def path(self) -> str:
        """Where it lies in any Maven repository (Maven, Repository Layout)."""
        group, artifact, version, *rest = self.coordinates.split(":")
        extension, classifier = rest or (_JAR, "")
        suffix = f"-{classifier}" if classifier else ""
        folder = f"{group.replace('.', '/')}/{artifact}/{version}"
        return f"{folder}/{artifact}-{version}{suffix}.{extension}"

    @property
    def name(self) -> str:
        """File name."""
        return self.path.rsplit("/", 1)[1]


@dataclass(frozen=True, slots=True)
class Pinned:
    """Everything the embedded world runs.

    Attributes:
        kafka: the jars of Kafka's class path.
        registry: the archive of the schema registry.
    """

    kafka: tuple[Artifact, ...]
    registry: Artifact


def pinned() -> Pinned:
    """Read the pinned list that ships with heapline."""
    listed = json.loads(files("devstack").joinpath("artifacts.json").read_text("utf-8"))
    (registry,) = listed["registry"]
    return Pinned(
        kafka=tuple(Artifact(**entry) for entry in listed["kafka"]),
        registry=Artifact(**registry),
    )
