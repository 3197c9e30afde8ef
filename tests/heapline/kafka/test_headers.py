"""What deferred and dead-lettered records say about themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.kafka.headers import PREFIX, DeadLetter, Deferral, Headers, Origin, foreign
from heapline.outcomes import DeadLetterReason, DeferReason, Source

ORIGIN = Origin("commandai.events", 3, 42)
DEFERRAL = Deferral(ORIGIN, Source.DEFERRED, 1, 2, 3, DeferReason.OVER_LIMIT)
DEAD_LETTER = DeadLetter(ORIGIN, DeadLetterReason.REJECTED_BY_HEAP, "acme")

texts = st.text(st.characters(exclude_categories=["Cs"]))
moments = st.integers(0, 2**53)
origins = st.builds(
    Origin, st.from_regex(r"[a-z._-]{1,20}", fullmatch=True), st.integers(0, 999), st.integers(0)
)
deferrals = st.builds(
    Deferral,
    origins,
    st.sampled_from(Source),
    moments,
    moments,
    st.integers(1, 1000),
    st.none() | st.sampled_from(DeferReason),
)
dead_letters = st.builds(
    DeadLetter,
    origins,
    st.sampled_from(DeadLetterReason),
    texts,
    texts,
    texts,
    st.none() | st.integers(100, 599),
    texts,
    st.integers(0, 99),
    moments,
    moments,
    st.none() | st.integers(0, 2**32 - 1),
    st.sampled_from(Source),
)


@given(deferrals)
def test_a_deferral_reads_as_it_was_written(deferral: Deferral) -> None:
    """Through headers and back, a reason that is not known included."""
    assert Deferral.read(deferral.headers()) == deferral


@given(dead_letters)
def test_a_dead_letter_reads_as_it_was_written(dead_letter: DeadLetter) -> None:
    """Through headers and back, empty texts included."""
    assert DeadLetter.read(dead_letter.headers()) == dead_letter


@given(origins)
def test_an_origin_reads_as_it_was_written(origin: Origin) -> None:
    """As one text."""
    assert Origin.parse(str(origin)) == origin


@pytest.mark.parametrize("text", ["", "a", "a/1", "a/b/c", "a/1/", "/1/2/x", "a/1.5/2"])
def test_what_is_no_origin_is_a_value_error(text: str) -> None:
    """A header somebody else wrote, for example."""
    with pytest.raises(ValueError, match=r".+"):
        Origin.parse(text)


def test_names_carry_the_prefix_and_no_underscores() -> None:
    """Headers are heapline's own and look like headers."""
    for name, _ in [*DEFERRAL.headers(), *DEAD_LETTER.headers()]:
        assert name.startswith(PREFIX)
        assert "_" not in name


@pytest.mark.parametrize("missing", ["origin", "first-deferred-at", "not-before", "deferrals"])
def test_a_missing_header_is_named(missing: str) -> None:
    """So that a person can tell what wrote the record."""
    kept = [(name, value) for name, value in DEFERRAL.headers() if name != PREFIX + missing]
    with pytest.raises(ValueError, match=missing.replace("-", ".")):
        Deferral.read(kept)


@pytest.mark.parametrize("missing", ["origin", "reason", "workspace"])
def test_a_dead_letter_needs_origin_reason_and_workspace(missing: str) -> None:
    """The rest has defaults, for records of older versions."""
    kept = [(name, value) for name, value in DEAD_LETTER.headers() if name != PREFIX + missing]
    with pytest.raises(ValueError, match=missing):
        DeadLetter.read(kept)


def test_a_dead_letter_of_an_older_version_can_be_read() -> None:
    """With nothing but what it needs."""
    bare: Headers = [
        ("heapline-origin", b"t/0/1"),
        ("heapline-reason", b"expired"),
        ("heapline-workspace", b"acme"),
    ]
    assert DeadLetter.read(bare) == DeadLetter(Origin("t", 0, 1), DeadLetterReason.EXPIRED, "acme")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("not-before", b"soon"),
        ("not-before", None),
        ("deferrals", b""),
        ("source", b"elsewhere"),
        ("reason", b"because"),
        ("origin", b"\xff\xff"),
    ],
)
def test_a_malformed_header_is_a_value_error(name: str, value: bytes | None) -> None:
    """Whatever is wrong in it."""
    with pytest.raises(ValueError, match=r".+"):
        Deferral.read([*DEFERRAL.headers(), (PREFIX + name, value)])


def test_foreign_headers_are_kept_in_order_and_ours_are_not() -> None:
    """A record that moves again gets new headers of ours beside the producer's own."""
    own: Headers = [
        ("traceparent", b"00-1"),
        ("x", b""),
        ("traceparent", b"00-2"),
        ("Heapline-a", b""),
    ]
    assert foreign([*own[:2], *DEFERRAL.headers(), *own[2:]]) == own
    assert foreign(None) == []
    assert foreign([("null", None)]) == [("null", b"")]


def test_text_that_utf8_cannot_carry_does_not_stop_a_checkpoint() -> None:
    """Half a surrogate pair in an error or an excerpt is replaced."""
    letter = DeadLetter(ORIGIN, DeadLetterReason.EXPIRED, "acme", error="a\ud800b")
    assert DeadLetter.read(letter.headers()).error == "a?b"
