"""The port: what escrow needs of any payment provider."""

from collections.abc import Mapping
from typing import Protocol

from chassis.decision import Instruction, Refused
from services.escrow.commands import Capture, ChargeOpened, RefundAnswered


class SignatureInvalid(Refused):
    """A callback that this provider did not sign, or not now: nothing moves."""

    status, code = 401, "signature_invalid"


class Provider(Protocol):
    """Numbers given to a provider are escrow's own ids and final: repeating a call under its number is always safe."""

    @property
    def name(self) -> str:
        """What a payment calls it by, and its account in the ledger."""
        ...

    async def open_charge(self, instruction: Instruction, attempt: int) -> ChargeOpened:
        """Ask for a place where the buyer can pay. Raises Unanswered where the result is unknown."""
        ...

    async def refund(self, instruction: Instruction, attempt: int) -> RefundAnswered:
        """Give money back under this refund's number. Raises Unanswered while it is pending or unknown."""
        ...

    def read_callback(self, path: str, headers: Mapping[str, str], body: bytes) -> Capture | RefundAnswered | None:
        """What a callback says, verified on its raw bytes; None for a kind that concerns nobody here.

        Raises SignatureInvalid, and InvalidRequest for what is signed and still cannot be read.
        """
        ...

    def acknowledgement(self) -> bytes:
        """What the provider wants to read once its callback is written down."""
        ...

    async def aclose(self) -> None:
        """Let go of its connections."""
        ...
