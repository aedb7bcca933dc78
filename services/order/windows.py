"""How long things may take: the numbers, and when a window of days ends."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide, as an argument of the rules that need them."""

    pay_by_minutes: int
    expire_after_seconds: int
    """The provider's orders end at pay_by; a capture under way then still has this long to arrive."""
    ship_by_hours: int
    express_confirm_days: int
    local_confirm_days: int
    virtual_confirm_days: int
    return_window_days: int
    platform_bps: int
    rail_max_bps: int
    rail_legs_max: int
    zone: ZoneInfo

    def confirm_days(self, delivery_kind: str) -> int:
        return {
            "express": self.express_confirm_days,
            "local": self.local_confirm_days,
            "virtual": self.virtual_confirm_days,
        }[delivery_kind]


def days_end(start: datetime, days: int, zone: ZoneInfo) -> datetime:
    """24:00 of the last day of a window that starts on the day of `start`, where `zone` is; in UTC.

    Seven days from any moment of 1 May end when 8 May does.
    """
    day_after = start.astimezone(zone).date() + timedelta(days=days + 1)
    return datetime.combine(day_after, time.min, tzinfo=zone).astimezone(UTC)
