"""Which service owns which address: one table. A first path segment has exactly one owner; anything else is 404."""

from typing import Final

OWNERS: Final[dict[str, str]] = {
    "sessions": "gateway",
    "me": "gateway",
    "recipients": "gateway",
    "disclosures": "gateway",
    "api-keys": "gateway",
    "events": "gateway",
    "operations": "gateway",
    "sandbox": "gateway",
    "merchants": "partner",
    "partners": "partner",
    "staff": "partner",
    "applications": "partner",
    "partnerships": "partner",
    "tribes": "tribe",
    "memberships": "tribe",
    "contents": "tribe",
    "products": "order",
    "stock-movements": "order",
    "offers": "order",
    "checkouts": "order",
    "orders": "order",
    "shipments": "order",
    "payments": "escrow",
    "holds": "escrow",
    "escrow": "escrow",
    "callbacks/payments": "escrow",
    "angels": "distribution",
    "share-links": "distribution",
    "links": "distribution",
    "touches": "distribution",
    "attributions": "distribution",
    "commissions": "distribution",
    "compliance": "distribution",
}
"""A callback names its port in the second segment, and the port has one owner."""

PUBLIC_PAGES: Final = frozenset({"/livez", "/readyz"})
"""The gateway's own health. Metrics and everything `/internal` are for the inside."""

_FORBIDDEN = (b"%2f", b"%5c", b"%00", b"\\", b"//")


def is_callback(path: str) -> bool:
    return path.startswith("/v1/callbacks/")


def owner_of(path: str, raw_path: bytes) -> str | None:
    """The service that owns an address, None for nobody. A path that two readers could read differently is nobody's."""
    lowered = raw_path.lower()
    if any(each in lowered for each in _FORBIDDEN):
        return None
    empty, version, *segments = path.split("/") if path.count("/") > 1 else ("", "")
    if empty or version != "v1" or any(segment in {"", ".", ".."} for segment in segments):
        return None
    return OWNERS.get("/".join(segments[: 2 if segments[0] == "callbacks" else 1]))
