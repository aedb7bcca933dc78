"""`python -m tests.journeys.trapped serve ...`: the real onebox, with a trap in it and, if asked, with a part taken out.

TRAP names a fact: after the commit that says it, and before anybody hears of it, the process kills itself.
MUTANT is `inbox` or `outbox`: what comes in, or what is said, is not written down. A harness that cannot tell such a
onebox from the real one would prove nothing.
"""

import os
import signal
from collections.abc import Sequence
from typing import Any

from chassis.bus.local import LocalBus
from chassis.message import Delivery
from chassis.save import Save
from onebox.__main__ import app

TRAP = os.environ.get("TRAP")
MUTANT = os.environ.get("MUTANT")
hand_off = LocalBus.hand_off


def trapped(bus: LocalBus, deliveries: Sequence[Delivery]) -> None:
    if any(delivery.fact.type == TRAP for delivery in deliveries):
        os.kill(os.getpid(), signal.SIGKILL)
    hand_off(bus, deliveries)


def forget(_save: Save, _rows: Sequence[Sequence[Any]]) -> None:
    pass


if __name__ == "__main__":
    LocalBus.hand_off = trapped  # type: ignore[method-assign]
    if MUTANT:
        setattr(Save, MUTANT, forget)
    app()
