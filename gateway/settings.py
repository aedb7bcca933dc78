"""The gateway's settings, and what a production deployment may not start with."""

import json

from joserfc.jwk import OKPKey
from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.settings import ChassisSettings
from gateway.vault import Marks, Vault, key_of

DISTINCT_BYTES_MIN = 12
"""A random key of 32 bytes has about 30 distinct ones; a placeholder has a few."""


class GatewaySettings(BaseSettings):
    """`BULUO_GATEWAY_...`. Keys have no default: a deployment makes its own."""

    model_config = SettingsConfigDict(env_prefix="BULUO_GATEWAY_", frozen=True, extra="ignore")

    signing_key: SecretStr = Field(
        ..., description="private Ed25519 key (JWK JSON); its public half is BULUO_INTERNAL_KEY"
    )
    master_key: SecretStr = Field(..., description="32 bytes, base64: wraps the keys of all personal data")
    master_keys_retired: SecretStr = Field(SecretStr(""), description="former master keys, separated by commas")
    index_key: SecretStr = Field(..., description="32 bytes, base64: finds a phone number's row; never changes")
    sandbox_codes: bool = Field(True, description="answer with the one-time code itself; refused in production")
    code_lifetime_seconds: int = Field(300, ge=30, description="a one-time code is good for so long")
    code_attempts_max: int = Field(5, ge=1, description="wrong entries before a code and its number are locked")
    codes_hourly_max: int = Field(20, ge=1, description="one-time codes per phone number and hour")
    access_lifetime_seconds: int = Field(900, ge=60, le=900, description="an access token is good for so long")
    session_lifetime_days: int = Field(30, ge=1, description="then somebody signs in anew")
    recipient_token_lifetime_seconds: int = Field(
        86_400, ge=60, description="a checkout takes a recipient token for so long"
    )
    recipients_max: int = Field(50, ge=1, description="per person")
    api_keys_max: int = Field(10, ge=2, description="living keys per party; two let one be replaced")
    key_cache_seconds: float = Field(5.0, ge=0, description="a deleted API key ends within this")
    body_max_bytes: int = Field(262_144, ge=1_024, description="a request's body; more is 413")
    body_seconds: float = Field(15.0, gt=0, description="a request's body has arrived within this, or 408")
    answer_seconds: float = Field(30.0, gt=0, description="a service answers within this, or 503")
    clock_patience_seconds: float = Field(60.0, gt=0, description="a step of the sandbox clock settles within this")

    def signer(self) -> OKPKey:
        return OKPKey.import_key(json.loads(self.signing_key.get_secret_value()))

    def vault(self) -> Vault:
        retired = [each for each in self.master_keys_retired.get_secret_value().split(",") if each]
        return Vault(key_of(self.master_key.get_secret_value()), [key_of(each) for each in retired])

    def marks(self) -> Marks:
        return Marks(key_of(self.index_key.get_secret_value()))


class UpstreamSettings(BaseSettings):
    """Where the services are, for a gateway in a process of its own."""

    model_config = SettingsConfigDict(env_prefix="BULUO_GATEWAY_", frozen=True, extra="ignore")

    order_url: HttpUrl = Field(HttpUrl("http://order:8000"), description="the order service")
    escrow_url: HttpUrl = Field(HttpUrl("http://escrow:8000"), description="escrow")
    distribution_url: HttpUrl = Field(HttpUrl("http://distribution:8000"), description="distribution")
    partner_url: HttpUrl = Field(HttpUrl("http://partner:8000"), description="partner")
    tribe_url: HttpUrl = Field(HttpUrl("http://tribe:8000"), description="tribe")
    upstream_pool_max: int = Field(200, ge=1, description="connections to each service")
    upstream_connect_seconds: float = Field(2.0, gt=0, description="a service takes a connection within this, or 503")

    def urls(self) -> dict[str, str]:
        """Where each service is, by its name."""
        names = ("order", "escrow", "distribution", "partner", "tribe")
        return {name: str(getattr(self, f"{name}_url")).rstrip("/") for name in names}


class NotFitForProduction(Exception):  # noqa: N818
    """The deployment says production, and something in it belongs to a sandbox."""


def refuse_sandbox_in_production(chassis: ChassisSettings, settings: GatewaySettings, *, delivers_codes: bool) -> None:
    """Raises NotFitForProduction, naming every fault at once; does nothing in sandbox mode."""
    if chassis.mode != "production":
        return
    faults = []
    if settings.sandbox_codes:
        faults.append("BULUO_GATEWAY_SANDBOX_CODES shows one-time codes to whoever asks")
    if not delivers_codes:
        faults.append("there is no way to deliver one-time codes")
    keys = {"MASTER_KEY": settings.master_key, "INDEX_KEY": settings.index_key}
    faults += [f"BULUO_GATEWAY_{name} is a placeholder" for name, key in keys.items() if _is_placeholder(key)]
    if faults:
        raise NotFitForProduction("; ".join(faults))


def _is_placeholder(key: SecretStr) -> bool:
    return len(set(key_of(key.get_secret_value()))) < DISTINCT_BYTES_MIN


def require_matching_keys(chassis: ChassisSettings, settings: GatewaySettings) -> None:
    """ValueError unless the services verify with the public half of what the gateway signs with."""
    public = settings.signer().as_dict(private=False)
    known = OKPKey.import_key(json.loads(chassis.internal_key.get_secret_value())).as_dict(private=False)
    if public["x"] != known["x"]:
        raise ValueError("BULUO_INTERNAL_KEY is not the public half of BULUO_GATEWAY_SIGNING_KEY")
