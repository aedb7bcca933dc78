"""What can be set from outside: environment variables `BULUO_SANDBOX_*`."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class SandboxSettings(BaseSettings):
    """The README explains each one."""

    model_config = SettingsConfigDict(env_prefix="BULUO_SANDBOX_", frozen=True)

    # The empty default never validates: a missing secret is refused like a short one.
    secret: SecretStr = Field(
        default=SecretStr(""), min_length=32, validate_default=True, description="shared with the platform"
    )
    host: str = Field("127.0.0.1", description="where it listens")
    port: int = Field(default=8090, ge=1, le=65_535, description="where it listens")
    data_path: Path = Field(Path(".buluo/sandbox.sqlite3"), description="its SQLite file; survives restarts")
    public_url: str = Field("http://127.0.0.1:8090", description="what a buyer's browser calls it")
