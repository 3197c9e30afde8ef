"""Registering the contracts in `avro/`, and telling where the registry has something else.

Nothing else ever registers a schema: a producer that finds its contract missing says so and stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from heapline.errors import NotReady
from heapline.kafka.registry import COMPATIBILITY
from heapline.kafka.schemas import schema_text
from heapline.kafka.topics import TOPICS
from operations.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heapline.kafka.topics import Names

_REGISTER = "run `heapline schemas register`"


class SubjectRegistry(Protocol):
    """What is asked of a registry; `heapline.kafka.registry.Registry` is one."""

    def exists(self, subject: str) -> bool:
        """Tell whether the subject has any schema."""
        ...

    def registered_id(self, subject: str, text: str) -> int | None:
        """Give the id of exactly this schema in the subject, or None."""
        ...

    def compatible(self, subject: str, text: str) -> bool:
        """Tell whether the subject would take this schema."""
        ...

    def compatibility(self, subject: str) -> str | None:
        """Give the subject's own compatibility level, or None."""
        ...

    def register(self, subject: str, text: str) -> int:
        """Set the compatibility level, register the schema, give its id."""
        ...


@dataclass(frozen=True, slots=True)
class Contract:
    """One schema and the subject it belongs to."""

    subject: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class SubjectState:
    """One subject as the registry has it.

    Attributes:
        exists: whether it has any schema.
        schema_id: of exactly our contract, or None.
        compatible: whether it would take our contract by its own rules.
        level: its own compatibility level, or None where the registry's default holds.
    """

    exists: bool
    schema_id: int | None
    compatible: bool
    level: str | None


class Registration(StrEnum):
    """What `register` did for one subject."""

    REGISTERED = "registered"
    LEVEL_SET = "compatibility set"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of registering one contract."""

    subject: str
    name: str
    schema_id: int
    did: Registration


def contracts(names: Names) -> tuple[Contract, ...]:
    """List the contracts, by the topics whose values they describe."""
    return tuple(
        Contract(names.subject(topic), topic.schema, schema_text(topic.schema))
        for topic in TOPICS
        if topic.schema is not None
    )


def look(registry: SubjectRegistry, contract: Contract) -> SubjectState:
    """Ask the registry about one subject; never for all of them, which it may not tell.

    Raises:
        RegistryUnavailable: it does not answer.
    """
    subject, text = contract.subject, contract.text
    schema_id = registry.registered_id(subject, text)
    exists = schema_id is not None or registry.exists(subject)
    return SubjectState(
        exists=exists,
        schema_id=schema_id,
        compatible=schema_id is not None or not exists or registry.compatible(subject, text),
        level=registry.compatibility(subject),
    )


def judge(contract: Contract, state: SubjectState) -> Iterator[Finding]:
    """List what is not as it should be in one subject."""
    if not state.exists:
        yield Finding(contract.subject, f"{contract.name} is not registered", _REGISTER)
        return
    if not state.compatible:
        yield Finding(contract.subject, f"refuses {contract.name}: not compatible", _incompatible())
    elif state.schema_id is None:
        yield Finding(contract.subject, f"has another version than this {contract.name}", _REGISTER)
    if state.level != COMPATIBILITY:
        level = state.level or "the registry's default"
        yield Finding(contract.subject, f"compatibility is {level}, not {COMPATIBILITY}", _REGISTER)


def _incompatible() -> str:
    return (
        "does this registry belong to another installation (set HEAPLINE_KAFKA__PREFIX), or is "
        "this heapline older than the one that registered (upgrade it)?"
    )


def check(registry: SubjectRegistry, names: Names) -> tuple[Finding, ...]:
    """Tell what is not as it should be; changes nothing.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    return tuple(
        finding
        for contract in contracts(names)
        for finding in judge(contract, look(registry, contract))
    )


def register(registry: SubjectRegistry, names: Names) -> tuple[Registered, ...]:
    """Register every contract under its subject, all or, when one is refused, none.

    Raises:
        NotReady: a subject holds something our contract is not compatible with.
        RegistryUnavailable: the registry does not answer; what was registered stays.
    """
    states = [(each, look(registry, each)) for each in contracts(names)]
    refused = [each.subject for each, state in states if not state.compatible]
    if refused:
        raise NotReady(
            f"nothing was registered: {', '.join(refused)} would not be compatible with what is "
            f"registered there; {_incompatible()}"
        )
    return tuple(_register(registry, contract, state) for contract, state in states)


def _register(registry: SubjectRegistry, contract: Contract, state: SubjectState) -> Registered:
    if state.schema_id is not None and state.level == COMPATIBILITY:
        return Registered(contract.subject, contract.name, state.schema_id, Registration.UNCHANGED)
    did = Registration.REGISTERED if state.schema_id is None else Registration.LEVEL_SET
    schema_id = registry.register(contract.subject, contract.text)
    return Registered(contract.subject, contract.name, schema_id, did)
