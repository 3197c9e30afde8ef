from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from heapline.errors import NotReady
from heapline.kafka.registry import Registry
from heapline.kafka.topics import CONNECTIONS, EVENTS, TOPICS, Names
from operations.schemas import Registration, SubjectState, check, contracts, judge, register
from tests.on_kafka import settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.world import World

OTHER = json.dumps({"type": "record", "name": "Other", "fields": [{"name": "x", "type": "string"}]})


@pytest.fixture
def names(prefix: str) -> Names:
    """Names no other test uses."""
    return Names(prefix)


@pytest.fixture
def schemas(world: World, prefix: str) -> Iterator[Registry]:
    """The shared world's registry."""
    with Registry(settings_for(world, prefix).schema_registry) as opened:
        yield opened


@pytest.fixture
def raw(world: World) -> Iterator[SchemaRegistryClient]:
    """A client that does what heapline never would."""
    with SchemaRegistryClient({"url": world.registry_url}) as client:
        yield client


def test_every_topic_with_a_contract_has_a_subject() -> None:
    """TopicNameStrategy, with the prefix."""
    subjects = [each.subject for each in contracts(Names("p."))]
    assert subjects == [f"p.{each.name}-value" for each in TOPICS if each.schema]


def state(
    *,
    exists: bool = True,
    schema_id: int | None = 1,
    level: str | None = "FULL_TRANSITIVE",
    compatible: bool = True,
) -> SubjectState:
    """Give a subject as it should be, but for what is named."""
    return SubjectState(exists, schema_id, compatible, level)


@pytest.mark.parametrize(
    ("found", "problems"),
    [
        (state(), []),
        (state(exists=False, schema_id=None, level=None), ["is not registered"]),
        (state(schema_id=None), ["has another version"]),
        (state(schema_id=None, compatible=False), ["not compatible"]),
        (state(level=None), ["the registry's default, not FULL_TRANSITIVE"]),
        (state(schema_id=None, level="NONE"), ["has another version", "is NONE, not FULL"]),
    ],
)
def test_each_difference_is_one_finding(found: SubjectState, problems: list[str]) -> None:
    """Each says what to do."""
    results = list(judge(contracts(Names())[0], found))
    assert len(results) == len(problems)
    for result, problem in zip(results, problems, strict=True):
        assert problem in result.problem
        assert result.fix


def test_register_makes_what_check_asks_for(schemas: Registry, names: Names) -> None:
    """Drift, register, no drift; a second time nothing is done and the ids are the same."""
    assert len(check(schemas, names)) == len(contracts(names))
    first = register(schemas, names)
    assert {each.did for each in first} == {Registration.REGISTERED}
    assert check(schemas, names) == ()
    second = register(schemas, names)
    assert {each.did for each in second} == {Registration.UNCHANGED}
    assert [each.schema_id for each in first] == [each.schema_id for each in second]
    assert all(
        schemas.compatibility(names.subject(each)) == "FULL_TRANSITIVE"
        for each in TOPICS
        if each.schema
    )


class Cut(Registry):
    """A registry that lists none of its subjects, as Apicurio does with those after the 1,000th."""

    def subjects(self) -> list[str]:
        """Leave out every one."""
        return super().subjects()[:0]


def test_a_listing_that_is_cut_hides_nothing(world: World, prefix: str, names: Names) -> None:
    """What is registered is found, and registered once, whatever the registry lists."""
    with Cut(settings_for(world, prefix).schema_registry) as cut:
        register(cut, names)
        assert cut.exists(names.subject(EVENTS))
        assert check(cut, names) == ()
        assert {each.did for each in register(cut, names)} == {Registration.UNCHANGED}


def test_a_lowered_compatibility_is_found_and_set_back(
    schemas: Registry, names: Names, raw: SchemaRegistryClient
) -> None:
    """Even though the schema itself did not change."""
    register(schemas, names)
    subject = names.subject(EVENTS)
    raw.set_compatibility(subject, "NONE")
    (finding,) = check(schemas, names)
    assert (finding.about, finding.problem) == (
        subject,
        "compatibility is NONE, not FULL_TRANSITIVE",
    )
    done = {each.subject: each.did for each in register(schemas, names)}
    assert done[subject] is Registration.LEVEL_SET
    assert check(schemas, names) == ()


def test_a_foreign_schema_in_the_subject_is_refused_and_nothing_registered(
    schemas: Registry, names: Names, raw: SchemaRegistryClient
) -> None:
    """All or none: the other subjects stay as they were."""
    subject = names.subject(CONNECTIONS)
    raw.register_schema(subject, Schema(OTHER, "AVRO"))
    raw.set_compatibility(subject, "FULL_TRANSITIVE")
    assert any(
        each.about == subject and "not compatible" in each.problem for each in check(schemas, names)
    )
    with pytest.raises(NotReady, match=subject):
        register(schemas, names)
    assert not schemas.exists(names.subject(EVENTS))
