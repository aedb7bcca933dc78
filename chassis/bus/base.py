"""What every bus promises: at least once, from the outbox, to every hearer of the catalogue."""

from collections.abc import Sequence
from typing import Protocol

from chassis.desk import Desk
from chassis.message import Delivery


class Bus(Protocol):
    """One producer's way out. `hand_off` never waits: what it cannot carry now, its sweep finds in the outbox."""

    def heard(self, fact_type: str) -> bool:
        """Whether any service hears this type; a fact nobody hears is born sent."""
        ...

    def hand_off(self, deliveries: Sequence[Delivery]) -> None: ...

    async def start(self, desk: Desk) -> None: ...

    async def stop(self) -> None: ...

    @property
    def connected(self) -> bool:
        """Whether facts can leave and arrive just now. Without it they wait; everything else goes on."""
        ...

    async def quiet(self) -> bool:
        """Every fact said so far has been heard by every hearer."""
        ...
