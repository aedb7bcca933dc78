"""Tribe's own settings: `BULUO_TRIBE_...`."""

import json

from joserfc.jwk import OKPKey
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class TribeSettings(BaseSettings):
    """What invitations are signed with, and how long they hold."""

    model_config = SettingsConfigDict(env_prefix="BULUO_TRIBE_", frozen=True, extra="ignore")

    token_key: SecretStr = Field(
        ..., description="private Ed25519 key (JWK JSON), this service's own: signs invitations"
    )
    invitation_days: int = Field(30, ge=1, le=365, description="an invitation is good for this long")

    def key(self) -> OKPKey:
        """The signing key. Raises ValueError for one that can only read, so that a wrong setting stops the start."""
        key = OKPKey.import_key(json.loads(self.token_key.get_secret_value()))
        if not key.is_private:
            raise ValueError("BULUO_TRIBE_TOKEN_KEY must be a private key")
        return key
