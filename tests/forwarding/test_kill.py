"""kill -9 at every stage of an event's way: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator.faults import Hang
from tests.forwarding.harness import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.forwarding.harness import Forwarding

pytestmark = pytest.mark.slow

_DIES_IN_CHECKPOINT = textwrap.dedent(
    """
    import os, signal, sys
    from cli.main import main
    import consumers.forwarder.run as run
    from heapline.kafka.clients import transactional_producer

    class Mortal:
        '''A producer that kills its process at one step of a checkpoint.'''
        def __init__(self, inner, step):
            self._inner, self._step = inner, step
        def __getattr__(self, name):
            call = getattr(self._inner, name)
            def stepped(*args, **kwargs):
                if self._step == "before " + name:
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = call(*args, **kwargs)
                if self._step == "after " + name:
                    self._inner.flush(5)
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer
            return stepped

    def mortal(settings, transactional_id):
        return Mortal(transactional_producer(settings, "forwarder", transactional_id), STEP)

    from heapline.settings import load_settings
    run.forward(load_settings(), lambda: False, until_caught_up=True, make_producer=mortal)
    """
)


def test_killed_while_events_wait_for_their_turn(forwarding: Forwarding) -> None:
    """Before sending: most events wait for Heap's limits when the process dies."""
    ids = forwarding.publish("acme", 2_000)
    slow = {"HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_APP": "6000"}
    with forwarding.forwarder(**slow) as process:
        wait_until(lambda: len(forwarding.heap.keys("11")) > 50)
        process.kill()
    assert len(forwarding.heap.keys("11")) < 2_000
    forwarding.catch_up()
    audit = forwarding.audit(["11"])
    audit.check()
    assert set(audit.in_heap) == ids


def test_killed_after_sending_and_before_the_answer(forwarding: Forwarding) -> None:
    """Heap has applied the request, and nobody will ever hear its answer."""
    ids = forwarding.publish("acme", 500)
    forwarding.heap.faults(Hang(applied=True))
    with forwarding.forwarder(HEAPLINE_HEAP__TIMEOUT_SECONDS="60") as process:
        wait_until(lambda: len(forwarding.heap.keys("11")) > 0)
        process.kill()
    forwarding.heap.clear_faults()
    forwarding.catch_up()
    audit = forwarding.audit(["11"])
    audit.check()
    assert set(audit.in_heap) == ids
    assert audit.duplicates > 0
    assert audit.outcome("delivered") == 500


def test_killed_before_the_checkpoint(forwarding: Forwarding) -> None:
    """Everything is delivered, nothing is written down: it repeats under the same keys."""
    ids = forwarding.publish("acme", 500)
    with forwarding.forwarder(HEAPLINE_FORWARDER__CHECKPOINT_INTERVAL_SECONDS="300") as process:
        wait_until(lambda: len(forwarding.heap.keys("11")) == 500)
        process.kill()
    forwarding.catch_up()
    audit = forwarding.audit(["11"])
    audit.check()
    assert set(audit.in_heap) == ids
    assert audit.outcome("delivered") == 500


@pytest.mark.parametrize(
    "step",
    [
        "after begin_transaction",
        "after produce",
        "before send_offsets_to_transaction",
        "after send_offsets_to_transaction",
        "after commit_transaction",
    ],
)
def test_killed_inside_and_after_a_checkpoint(
    forwarding: Forwarding, tmp_path: Path, step: str
) -> None:
    """The half-written transaction is aborted by the successor; a committed one stands."""
    forwarding.publish("acme", 300)
    poison = forwarding.event("acme", 1_000, user_id="x" * 256)
    forwarding.publish_events([poison])
    script = tmp_path / "mortal.py"
    script.write_text(f"STEP = {step!r}\n{_DIES_IN_CHECKPOINT}")
    with forwarding.forwarder(program=[str(script)]) as process:
        assert process.wait(120) == -9
    forwarding.catch_up()
    audit = forwarding.audit(["11"])
    audit.check()
    assert len(audit.in_heap) == 300
    assert audit.outcome("delivered") == 300
    assert set(audit.dead) == {poison.event_id}
    assert not audit.waiting
