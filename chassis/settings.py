"""Settings every service shares: `BULUO_{SERVICE}_{NAME}_{UNIT}`, files or environment only (decision 0010)."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DeskSettings(BaseSettings):
    """What a desk may hold and how long a caller waits."""

    model_config = SettingsConfigDict(env_prefix="BULUO_", frozen=True, extra="ignore")

    desk_batch_max: int = Field(200, ge=1, description="messages in one transaction")
    desk_commands_max: int = Field(2_000, ge=1, description="waiting commands before the door answers 503")
    desk_facts_max: int = Field(50_000, ge=1, description="waiting facts before a copy is left to the sweep")
    desk_answer_seconds: float = Field(4.5, gt=0, description="a command is answered within this, or 503")


class ChassisSettings(DeskSettings):
    """What every process of a deployment must agree on."""

    mode: Literal["sandbox", "production"] = Field(
        "sandbox", description="a property of the deployment, never of a row"
    )
    database_pool_max: int = Field(6, ge=2, description="connections per service")
    internal_key: SecretStr = Field(..., description="public half of the gateway's internal signing key (JWK JSON)")
    retention_days: int = Field(30, ge=7, description="how long applied messages and their answers are kept")
    timezone: str = Field("Asia/Shanghai", description="windows counted in days end at 24:00 here")


class ProcessSettings(ChassisSettings):
    """What every process of a deployment must agree on, and where one of its own listens."""

    broker_url: SecretStr = Field(..., description="amqp://user:password@host:5672/vhost, a user of this service's own")
    broker_namespace: str = Field("buluo", pattern="^[a-z0-9_-]{1,40}$", description="begins every name at the broker")
    host: str = Field("127.0.0.1", description="the address it listens on")
    port: int = Field(8000, ge=1, le=65_535, description="the port it listens on")
    inside_port: int = Field(0, ge=0, le=65_535, description="health and metrics for the inside alone; 0: on no port")
    drain_seconds: int = Field(10, ge=0, le=15, description="at the end, requests under way get so long")


class OwnSettings(BaseSettings):
    """What each process has for itself: `{SERVICE}` is its name."""

    model_config = SettingsConfigDict(env_prefix="BULUO_{SERVICE}_", frozen=True, extra="ignore")

    database_url: SecretStr = Field(..., description="postgresql://role:password@host:5432/database, its own")
