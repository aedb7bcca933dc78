"""The order service's settings: `BULUO_ORDER_*`. Numbers for new orders."""

from zoneinfo import ZoneInfo

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.order.windows import Rules


class OrderSettings(BaseSettings):
    """How long everything may take, and what the split may look like. Orders keep what they were placed under."""

    model_config = SettingsConfigDict(env_prefix="BULUO_ORDER_", frozen=True, extra="ignore")

    pay_by_minutes: int = Field(30, ge=1, le=1440, description="from placing to the end of the provider's order")
    expire_after_seconds: int = Field(120, ge=0, le=3600, description="after pay_by, until an unpaid order expires")
    ship_by_hours: int = Field(48, ge=1, le=720, description="from payment, where the product does not say")
    express_confirm_days: int = Field(10, ge=1, le=60, description="from shipping to confirmation by deadline")
    local_confirm_days: int = Field(2, ge=1, le=60, description="the same for local goods")
    virtual_confirm_days: int = Field(2, ge=1, le=60, description="the same for virtual goods")
    return_window_days: int = Field(7, ge=7, le=60, description="from receipt, where the product does not say more")
    platform_bps: int = Field(200, ge=0, le=3000, description="the platform's rate, in basis points")
    rail_max_bps: int = Field(
        3000, ge=0, le=10_000, description="settlement rail: most that others than the seller get"
    )
    rail_legs_max: int = Field(50, ge=2, le=500, description="settlement rail: most legs of one order")

    def rules(self, timezone: str) -> Rules:
        """These numbers as the rules take them; windows of days end at 24:00 in `timezone`."""
        return Rules(**self.model_dump(), zone=ZoneInfo(timezone))
