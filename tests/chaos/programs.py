"""Forwarders that are run otherwise than by the command."""

from __future__ import annotations

from typing import Final

JUMPY: Final = """
import random, signal
from heapline.clock import SystemClock
from heapline.settings import load_settings
from consumers.forwarder.run import forward

class Jumpy(SystemClock):
    '''Wall time jumps by up to an hour; the monotonic clock goes on, as in a real machine.'''
    def __init__(self):
        self.ahead_ms, self.until = 0, 0.0
    def epoch_ms(self):
        now = self.monotonic()
        if now >= self.until:
            self.ahead_ms, self.until = random.randint(-3_600_000, 3_600_000), now + 1.0
        return super().epoch_ms() + self.ahead_ms

asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
forward(load_settings(), lambda: bool(asked), clock=Jumpy())
"""
FLEETING: Final = """
import signal, threading, time
from heapline.settings import load_settings
from consumers.forwarder.run import forward

asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
settings = load_settings()

def come_and_go(number):
    '''Be a member again and again, each time for about a second, and leave in good order.'''
    mine = settings.model_copy(update={"instance_id": f"{settings.instance_id}-{number}"})
    time.sleep(number * 0.5)
    while not asked:
        began = []
        def over():
            began.append(time.monotonic())
            return bool(asked) or began[-1] - began[0] > 1.0
        forward(mine, over)

members = [threading.Thread(target=come_and_go, args=(number,)) for number in range(2)]
for member in members:
    member.start()
for member in members:
    while member.is_alive():
        member.join(0.1)
"""
"""Two take turns: every half second one comes and one leaves, without the price of a process."""
