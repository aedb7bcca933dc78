"""What can be set from outside: environment variables `BULUO_SANDBOX_*`."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class SandboxSettings(BaseSettings):
    """The README explains each one."""

    model_config = SettingsConfigDict(env_prefix="BULUO_SANDBOX_", frozen=True)

    # The empty default never validates: a missing secret is refused like a short one.
    secret: SecretStr = Field(default=SecretStr(""), min_length=32, validate_default=True)
    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=1, le=65_535)
    data_path: Path = Path(".buluo/sandbox.sqlite3")
    public_url: str = "http://127.0.0.1:8090"
