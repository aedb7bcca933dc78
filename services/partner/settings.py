"""Partner's own settings: `BULUO_PARTNER_...`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.ids import PersonId


class PartnerSettings(BaseSettings):
    """What a deployment decides about merchants and partners."""

    model_config = SettingsConfigDict(env_prefix="BULUO_PARTNER_", frozen=True, extra="ignore")

    first_ops_person_id: PersonId | None = Field(
        None, description="becomes the platform's first ops person at start, if the platform has none yet"
    )
