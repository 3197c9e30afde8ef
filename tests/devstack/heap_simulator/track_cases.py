"""Events at the bounds of Heap's track contract, for the rules and for the server alike."""

from __future__ import annotations

from typing import Any

VALID = {"event": "Phone Call", "identity": "alice@example.com"}


def with_fields(**fields: object) -> dict[str, Any]:
    """A valid event with some fields put in or replaced."""
    return VALID | fields


def without(field: str) -> dict[str, Any]:
    """A valid event that lacks one field."""
    return {key: value for key, value in VALID.items() if key != field}


def for_user_id(user_id: object) -> dict[str, Any]:
    """A valid event but for its user_id, which stands in place of the identity."""
    return without("identity") | {"user_id": user_id}


def with_property(value: object, key: str = "k") -> dict[str, Any]:
    """A valid event but for one property."""
    return with_fields(properties={key: value})


ALLOWED = [
    VALID,
    with_fields(event="x" * 1024),
    with_fields(identity="x" * 255),
    with_fields(identity="null"),
    for_user_id("0"),
    for_user_id(str(2**53 - 1)),
    with_fields(properties={}),
    with_property("x" * 1023),
    with_property("v", "k" * 1023),
    with_property(""),
    with_property(0),
    with_property(-1.5),
    with_property(2**64 - 1),
    with_property("\U0001f600" * 1023),
    with_fields(idempotency_key="k", session_id="s"),
    with_fields(idempotency_key=""),
    with_fields(nobody_knows=[{"nested": True}]),
]

REFUSED = [
    ("event_not_an_object", None),
    ("event_not_an_object", "Phone Call"),
    ("event_not_an_object", [VALID]),
    ("event_name_missing", without("event")),
    ("event_name_missing", with_fields(event="")),
    ("event_name_missing", with_fields(event=7)),
    ("event_name_missing", with_fields(event=None)),
    ("event_name_too_long", with_fields(event="x" * 1025)),
    ("not_exactly_one_of_identity_and_user_id", without("identity")),
    ("not_exactly_one_of_identity_and_user_id", with_fields(user_id="7")),
    ("not_exactly_one_of_identity_and_user_id", with_fields(user_id=None)),
    ("identity_not_a_filled_string", with_fields(identity="")),
    ("identity_not_a_filled_string", with_fields(identity=7)),
    ("identity_not_a_filled_string", with_fields(identity=None)),
    ("identity_not_a_filled_string", with_fields(identity=["a"])),
    ("identity_too_long", with_fields(identity="x" * 256)),
    ("user_id_not_a_number_in_a_string", for_user_id(7)),
    ("user_id_not_a_number_in_a_string", for_user_id("")),
    ("user_id_not_a_number_in_a_string", for_user_id("-1")),
    ("user_id_not_a_number_in_a_string", for_user_id("1.0")),
    ("user_id_not_a_number_in_a_string", for_user_id("1e3")),
    ("user_id_not_a_number_in_a_string", for_user_id("007")),
    ("user_id_not_a_number_in_a_string", for_user_id(" 7")),
    ("user_id_not_a_number_in_a_string", for_user_id("7\n")),
    ("user_id_not_a_number_in_a_string", for_user_id("\u0667")),
    ("user_id_not_a_number_in_a_string", for_user_id("alice")),
    ("user_id_too_large", for_user_id(str(2**53))),
    ("idempotency_key_not_a_string", with_fields(idempotency_key=7)),
    ("idempotency_key_not_a_string", with_fields(idempotency_key=None)),
    ("session_id_not_a_string", with_fields(session_id=7)),
    ("properties_not_an_object", with_fields(properties=None)),
    ("properties_not_an_object", with_fields(properties=["a"])),
    ("properties_not_an_object", with_fields(properties="a")),
    ("property_key_too_long", with_property("v", "k" * 1024)),
    ("property_text_too_long", with_property("x" * 1024)),
    ("property_neither_text_nor_number", with_property({"nested": 1})),
    ("property_neither_text_nor_number", with_property(["a", "b"])),
    ("property_neither_text_nor_number", with_property([])),
    ("property_neither_text_nor_number", with_property(value=True)),
    ("property_neither_text_nor_number", with_property(value=False)),
    ("property_neither_text_nor_number", with_property(None)),
    ("property_not_a_finite_number", with_property(float("nan"))),
    ("property_not_a_finite_number", with_property(float("inf"))),
]

TIMESTAMPS = [
    "2017-03-10T22:21:56+00:00",
    "2017-03-10T22:21:56Z",
    "2017-03-10T22:21:56.123Z",
    "2017-03-10T22:21:56.123456789Z",
    "2017-03-10T22:21:56,5Z",
    "2017-03-10T22:21:56+0530",
    "2017-03-10T22:21:56-08",
    "2017-03-10T22:21:56",
    "2017-03-10T22:21Z",
    "2017-03-10",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
]

NO_TIMESTAMPS = [
    "",
    "now",
    "1489184516",
    1489184516,
    1489184516.5,
    None,
    "2017-03-10 22:21:56",
    "2017-03-10T22:21:56z",
    "2017-02-29T00:00:00Z",
    "2017-13-01T00:00:00Z",
    "2017-03-10T25:00:00Z",
    "2017-03-10T22:21:60Z",
    "2017-03-10T22:21:56+25:00",
    "10 Mar 2017 22:21:56",
    "2017-03-10T22:21:56Z ",
    "2017-03-10T22:21:56Z\n",
    "\u0662017-03-10",
]
