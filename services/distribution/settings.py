"""Distribution's settings: `BULUO_DISTRIBUTION_*`."""

import json

from joserfc.jwk import OKPKey
from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DistributionSettings(BaseSettings):
    """The published rules of sharing, and the key that signs links and touches."""

    model_config = SettingsConfigDict(env_prefix="BULUO_DISTRIBUTION_", frozen=True, extra="ignore")

    token_key: SecretStr = Field(..., description="private Ed25519 key (JWK JSON), distribution's alone")
    public_url: HttpUrl = Field(
        HttpUrl("http://127.0.0.1:8000"), description="the gateway as readers of links reach it"
    )
    rules_version: int = Field(1, ge=1, description="the rules an angel accepts")
    link_days: int = Field(30, ge=1, le=365, description="a share link works for this long")
    attribution_window_days: int = Field(30, ge=1, le=365, description="an order counts for a touch this long after it")
    person_touches_max: int = Field(20, ge=1, le=20, description="latest touches remembered per signed-in person")

    def key(self) -> OKPKey:
        """The signing key; ValueError for one that cannot sign."""
        key = OKPKey.import_key(json.loads(self.token_key.get_secret_value()))
        if not key.is_private:
            raise ValueError("BULUO_DISTRIBUTION_TOKEN_KEY must be a private key")
        return key
