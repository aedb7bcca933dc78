"""The two statements that distribution signs and clients carry: a link, and a touch. Nobody else can make either."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from joserfc.jwk import OKPKey

from chassis import signed
from services.distribution.domain import Rules, ShareLink, Touch

REMEMBERED_MAX = 10_000
DAY_SECONDS = 24 * 3600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Tokens:
    """Signs and reads with distribution's own key.

    A token's own expiry is wall-clock housekeeping and comes well after the end that the rules set in business time:
    so a late reader is told that it is too late, and not that there never was such a link.
    """

    def __init__(self, key: OKPKey, rules: Rules) -> None:
        self._key = key
        self._link_seconds = 2 * (rules.link_days + 1) * DAY_SECONDS
        self._touch_seconds = 2 * (rules.window_days + 1) * DAY_SECONDS
        self.touch_in = lru_cache(REMEMBERED_MAX)(self._touch_in)
        """The touch that a token states; None for what this key did not sign. A batch asks several times."""

    def for_link(self, link: ShareLink) -> str:
        return signed.sign(self._key, "link", {"link_id": link.link_id}, self._link_seconds)

    def link_in(self, token: str) -> str | None:
        """The id of the link that a token names; None for what this key did not sign."""
        try:
            return str(signed.read(self._key, "link", token)["link_id"])
        except signed.NotSigned:
            return None

    def for_touch(self, touch: Touch) -> str:
        """The touch without its person: whoever carries the statement came by this link."""
        claims = {
            "touch_id": touch.touch_id,
            "link_id": touch.link_id,
            "angel": touch.angel,
            "target": touch.target,
            "touched_at": (touch.touched_at - _EPOCH) // _MICROSECOND,
        }
        return signed.sign(self._key, "touch", claims, self._touch_seconds)

    def _touch_in(self, token: str) -> Touch | None:
        try:
            claims = signed.read(self._key, "touch", token)
        except signed.NotSigned:
            return None
        touched_at = _EPOCH + claims["touched_at"] * _MICROSECOND
        return Touch(claims["touch_id"], claims["link_id"], claims["angel"], claims["target"], touched_at)
