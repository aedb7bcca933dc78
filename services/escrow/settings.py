"""Escrow's settings: `BULUO_ESCROW_*`."""

from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class EscrowSettings(BaseSettings):
    """Where the sandbox provider is, and where providers call back. Without a secret there is no sandbox provider."""

    model_config = SettingsConfigDict(env_prefix="BULUO_ESCROW_", frozen=True, extra="ignore")

    sandbox_url: HttpUrl = Field(HttpUrl("http://127.0.0.1:8090"), description="the sandbox provider")
    sandbox_secret: SecretStr | None = Field(None, min_length=32, description="shared with the sandbox provider")
    provider_call_seconds: float = Field(5.0, gt=0, le=30, description="then the result is unknown")
    callback_url: HttpUrl = Field(HttpUrl("http://127.0.0.1:8000"), description="the gateway as providers reach it")
