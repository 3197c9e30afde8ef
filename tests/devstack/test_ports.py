"""Ports are free, distinct, remembered, and replaced only when they have to be."""

from __future__ import annotations

import socket
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from devstack import ports

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = ("kafka", "kafka-controller", "registry", "heap")


@given(
    remembered=st.dictionaries(st.sampled_from(_NAMES), st.integers(20_000, 20_010)),
    taken=st.sets(st.integers(20_000, 20_010)),
    seed=st.integers(),
)
def test_usable_ports_are_kept(remembered: dict[str, int], taken: set[int], seed: int) -> None:
    """Whatever was remembered or taken, all ports are distinct and usable, and good ones stay."""
    chosen = ports.choose(_NAMES, remembered, lambda _, port: port not in taken, Random(seed))
    assert list(chosen) == list(_NAMES)
    assert len(set(chosen.values())) == len(_NAMES)
    assert not taken.intersection(chosen.values())
    for name, port in chosen.items():
        earlier = [chosen[other] for other in _NAMES[: _NAMES.index(name)]]
        wanted = remembered.get(name)
        if wanted is not None and wanted not in taken and wanted not in earlier:
            assert port == wanted


def test_new_ports_are_never_given_to_clients() -> None:
    """New ports lie below those the kernel takes for outgoing connections."""
    chosen = ports.choose([str(i) for i in range(100)], {}, lambda *_: True, Random(1))
    assert max(chosen.values()) < 32_768


def test_a_taken_port_is_seen() -> None:
    """A port somebody listens on is listening and not free; afterwards the reverse."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ports.is_listening(port)
        assert not ports.is_free(port)
    assert not ports.is_listening(port)
    assert ports.is_free(port)


def test_remembered_ports_come_back(tmp_path: Path) -> None:
    """What is saved is loaded; a missing or senseless file counts as nothing remembered."""
    file = tmp_path / "ports.json"
    assert ports.load(file) == {}
    ports.save(file, {"kafka": 20_001})
    assert ports.load(file) == {"kafka": 20_001}
    for senseless in ('{"kafka": 20', "[]", "\0"):
        file.write_text(senseless)
        assert ports.load(file) == {}
