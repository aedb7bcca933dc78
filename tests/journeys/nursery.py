"""Where oneboxes of tests come from: a process that has imported everything forks one at once, instead of in seconds.

What runs in the fork is `python -m onebox serve` from its command line on, unless it is told to fail: `trap` names a
fact, and after the commit that says it, before anybody hears of it, the process kills itself. `mutant` is `inbox` or
`outbox`: what comes in, or what is said, is not written down. A harness that cannot tell such a onebox from a real one
would prove nothing.
"""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from chassis.bus.local import LocalBus
from chassis.message import Delivery
from chassis.save import Save
from onebox.__main__ import app
from onebox.provider import die_with_parent
from onebox.world import PACKAGES

for package in PACKAGES.values():
    import_module(f"{package}.service")

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


def fork(
    arguments: Sequence[str], log: Path, *, trap: str | None = None, mutant: str | None = None
) -> ForkServerProcess:
    """Run onebox's command line in a process of its own, with what it says in `log`."""
    process = _FORKS.Process(target=_run, args=(list(arguments), log, trap, mutant))
    process.start()
    return process


def _run(arguments: Sequence[str], log: Path, trap: str | None, mutant: str | None) -> None:
    die_with_parent()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if trap:
        _set_trap(trap)
    if mutant:
        setattr(Save, mutant, _forget)
    app(arguments)


def _set_trap(fact_type: str) -> None:
    hand_off = LocalBus.hand_off

    def trapped(bus: LocalBus, deliveries: Sequence[Delivery]) -> None:
        if any(delivery.fact.type == fact_type for delivery in deliveries):
            os.kill(os.getpid(), signal.SIGKILL)
        hand_off(bus, deliveries)

    setattr(LocalBus, "hand_off", trapped)


def _forget(_save: Save, _rows: Sequence[Sequence[Any]]) -> None:
    pass
