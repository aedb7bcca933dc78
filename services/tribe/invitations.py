"""Invitations as signed tokens: nothing to look up, nothing to guess, and no way to claim another partner's name."""

from dataclasses import dataclass

from joserfc.jwk import OKPKey

from chassis import signed
from services.tribe.domain import Invitation, InvitationInvalid
from services.tribe.schemas import InvitationOut

PURPOSE = "invitation"


@dataclass(frozen=True)
class Invitations:
    """Signs with this service's own key, and reads only what it signed."""

    key: OKPKey
    lifetime_seconds: int

    def write(self, invitation: Invitation) -> InvitationOut:
        """The answer to whoever invites: the invitation with its token."""
        claims = {"tribe_id": invitation.tribe_id, "partner_id": invitation.partner_id}
        return InvitationOut.of(invitation, signed.sign(self.key, PURPOSE, claims, self.lifetime_seconds))

    def read(self, token: str, tribe_id: str) -> str:
        """The partner that invited into this tribe. Raises InvitationInvalid."""
        try:
            claims = signed.read(self.key, PURPOSE, token)
        except signed.NotSigned as error:
            raise InvitationInvalid from error
        if claims["tribe_id"] != tribe_id:
            raise InvitationInvalid
        return str(claims["partner_id"])
