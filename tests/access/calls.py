"""How each row of the matrix is asked: the request, whole and valid, with names of the story's things in braces.

Bodies carry every member that the operation declares, where they can be carried together: what is injected into them
later is then the only thing wrong. `fresh` names a maker of cast.py: those who are let in spend a thing of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AMOUNT = {"amount": 3990, "currency": "CNY"}
WORDS = dict.fromkeys(("frequency", "taste", "feeling", "acting"), "slowly")
SAID = {"reason_code": "changed_mind"}


@dataclass(frozen=True, slots=True)
class Call:
    """`etag` is where the version is read that If-Match names; without it, it is `version`. `thing` is what a list
    shows or leaves out."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    fresh: str = ""
    etag: str = ""
    version: int = 1
    thing: str = ""


def get(path: str, *, thing: str = "", **query: str) -> Call:
    return Call("GET", path, query={"limit": "100", **query} if thing else query, thing=thing)


def post(path: str, body: Mapping[str, Any] | None = None, *, fresh: str = "") -> Call:
    return Call("POST", path, body if body is not None else {}, fresh=fresh)


CALLS: Mapping[str, Call] = {
    "create_code": post("/v1/sessions/codes", {"phone": "{phone}"}, fresh="phone"),
    "create_session": post("/v1/sessions", {"code_id": "{code_id}", "code": "{code}"}, fresh="code"),
    "get_me": get("/v1/me"),
    "update_me": Call("PATCH", "/v1/me", {"display_name": "me", "locale": "en", "end_sessions": []}, etag="/v1/me"),
    "create_recipient": post(
        "/v1/recipients", {"name": "me", "phone": "13900000000", "region_code": "330100", "address": "here"}
    ),
    "delete_recipient": Call("DELETE", "/v1/recipients/{recipient}", fresh="recipient"),
    "create_disclosure": post("/v1/disclosures", {"order_id": "{order}", "purpose": "shipping"}),
    "create_api_key": post(
        "/v1/api-keys", {"party_id": "{merchant}", "scopes": ["orders:read"], "expires_at": "2099-01-01T00:00:00Z"}
    ),
    "list_api_keys": get("/v1/api-keys", thing="{api_key}"),
    "delete_api_key": Call("DELETE", "/v1/api-keys/{api_key}", fresh="api_key"),
    "list_events": get("/v1/events", thing="{order}", subject="{order}"),
    "get_operation": get("/v1/operations/{operation}"),
    "get_clock": get("/v1/sandbox/clock"),
    "create_clock_advance": post("/v1/sandbox/clock/advance", {"by_seconds": 1}),
    # --- partner
    "create_merchant": post("/v1/merchants", {"name": "shop", "categories": ["fruit"]}),
    "list_merchants": get("/v1/merchants", thing="{merchant}"),
    "list_merchants/draft": get("/v1/merchants", thing="{draft_merchant}"),
    "get_merchant": get("/v1/merchants/{merchant}"),
    "get_merchant/draft": get("/v1/merchants/{draft_merchant}"),
    "update_merchant": Call(
        "PATCH",
        "/v1/merchants/{merchant}",
        {
            "name": "orchard",
            "categories": ["fruit"],
            "values": {**WORDS, "mission": "slow food", "looking_for": "somebody"},
            "recruiting": {
                "open": True,
                "regions": ["330100"],
                "terms": {"service_bps": 800, "group": "standard", "limits": {"max_order_amount": AMOUNT}},
            },
            "state": "open",
        },
        etag="/v1/merchants/{merchant}",
    ),
    "create_partner": post("/v1/partners", {"display_name": "me", "regions": ["330100"], "capability": "much"}),
    "get_partner": get("/v1/partners/{partner}"),
    "update_partner": Call(
        "PATCH",
        "/v1/partners/{partner}",
        {"display_name": "me", "regions": ["330100"], "capability": "more"},
        etag="/v1/partners/{partner}",
    ),
    "list_staff": get("/v1/staff", thing="{clerk}", party_id="{merchant}"),
    "update_staff": Call("PUT", "/v1/staff/{merchant}/{newcomer}", {"role": "pickup"}, fresh="newcomer", version=0),
    "create_application": post(
        "/v1/applications",
        {"merchant_id": "{merchant}", "partner_id": "{partner}", "answers": WORDS, "capability": "much"},
    ),
    "list_applications": get("/v1/applications", thing="{application}"),
    "list_applications/draft": get("/v1/applications", thing="{draft_application}"),
    "move_application:submit": post("/v1/applications/{draft_application}/submit", SAID, fresh="draft_application"),
    "move_application:submit/asked": post(
        "/v1/applications/{merchants_application}/submit", SAID, fresh="merchants_application"
    ),
    "move_application:accept": post("/v1/applications/{application}/accept", SAID, fresh="application"),
    "move_application:reject": post("/v1/applications/{application}/reject", SAID, fresh="application"),
    "move_application:withdraw": post("/v1/applications/{application}/withdraw", SAID, fresh="application"),
    "list_partnerships": get("/v1/partnerships", thing="{partnership}"),
    "move_partnership:activate": post("/v1/partnerships/{partnership}/activate", SAID, fresh="partnership_on_trial"),
    "move_partnership:suspend": post("/v1/partnerships/{partnership}/suspend", SAID, fresh="partnership_active"),
    "move_partnership:resume": post("/v1/partnerships/{partnership}/resume", SAID, fresh="partnership_suspended"),
    "move_partnership:end": post("/v1/partnerships/{partnership}/end", SAID, fresh="partnership_on_trial"),
    # --- tribe
    "create_tribe": post("/v1/tribes", {"name": "we", "partnership_id": "{partnership}", "charter": "slowly"}),
    "list_tribes": get("/v1/tribes", thing="{tribe}"),
    "get_tribe": get("/v1/tribes/{tribe}"),
    "update_tribe": Call("PATCH", "/v1/tribes/{tribe}", {"name": "we", "charter": "slowly"}, etag="/v1/tribes/{tribe}"),
    "update_role": Call("PUT", "/v1/tribes/{tribe}/roles/{membership}", {"role": "editor"}, fresh="new_member"),
    "create_invitation": post("/v1/tribes/{tribe}/invitations", {"partner_id": "{partner}"}),
    "create_membership": post("/v1/tribes/{tribe}/memberships", {"invite_token": None}, fresh="tribe"),
    "list_memberships": get("/v1/tribes/{tribe}/memberships", thing="{membership}"),
    "delete_membership": Call("DELETE", "/v1/memberships/{membership}", fresh="own_membership"),
    "create_content": post(
        "/v1/tribes/{tribe}/contents", {"title": "oranges", "body": "ripe in March", "offer_ids": ["{offer}"]}
    ),
    "list_contents": get("/v1/tribes/{tribe}/contents", thing="{content}"),
    "get_content": get("/v1/contents/{content}"),
    "delete_content": Call("DELETE", "/v1/contents/{content}", fresh="content"),
    "delete_content/operators": Call("DELETE", "/v1/contents/{operators_content}", fresh="operators_content"),
    # --- order
    "create_product": post(
        "/v1/products",
        {
            "merchant_id": "{merchant}",
            "name": "oranges",
            "description": "",
            "variants": [{"name": "box", "stock": 5}],
            "delivery_kind": "express",
            "return_policy": {"days": 7, "excluded": False},
            "ship_by_hours": 48,
            "state": "draft",
        },
    ),
    "list_products": get("/v1/products", thing="{product}"),
    "list_products/draft": get("/v1/products", thing="{draft_product}"),
    "get_product": get("/v1/products/{product}"),
    "get_product/draft": get("/v1/products/{draft_product}"),
    "update_product": Call(
        "PATCH",
        "/v1/products/{product}",
        {
            "name": "oranges",
            "description": "",
            "return_policy": {"days": 7, "excluded": False},
            "ship_by_hours": 48,
            "state": "published",
        },
        fresh="product",
    ),
    "create_stock_movement": post(
        "/v1/stock-movements",
        {"variant_id": "{variant}", "seller": "{merchant}", "delta": 1, "reason_code": "found"},
    ),
    "create_offer": post(
        "/v1/offers",
        {
            "product_id": "{product}",
            "seller": "{merchant}",
            "partnership_id": "{partnership}",
            "tribe_id": "{tribe}",
            "price": AMOUNT,
            "angel_bps": 500,
        },
    ),
    "list_offers": get("/v1/offers", thing="{offer}"),
    "list_offers/withdrawn": get("/v1/offers", thing="{withdrawn_offer}"),
    "get_offer": get("/v1/offers/{offer}"),
    "delete_offer": Call("DELETE", "/v1/offers/{offer}", fresh="offer"),
    "create_checkout": post(
        "/v1/checkouts",
        {
            "lines": [{"offer_id": "{offer}", "quantity": 1, "variant_id": "{variant}"}],
            "recipient_token": "{recipient_token}",
            "touch_token": "{touch_token}",
            "content_id": "{content}",
            "expected_total": AMOUNT,
        },
        fresh="recipient_token",
    ),
    "list_orders": get("/v1/orders", thing="{order}"),
    "list_orders/sold": get("/v1/orders", thing="{order}", **{"as": "seller"}),
    "get_order": get("/v1/orders/{order}"),
    "create_shipment": post(
        "/v1/orders/{order}/shipments",
        {"lines": [{"line_id": "{line}", "quantity": 1}], "carrier": "sf", "tracking": "SF1234567890"},
        fresh="paid_order",
    ),
    "update_shipment": Call("PATCH", "/v1/shipments/{shipment}", {"tracking": "SF1234567890"}, fresh="shipped_order"),
    "update_shipment/delivered": Call("PATCH", "/v1/shipments/{shipment}", {"delivered": True}, fresh="shipped_order"),
    "move_order:cancel": post("/v1/orders/{order}/cancel", SAID, fresh="placed_order"),
    "move_order:confirm": post("/v1/orders/{order}/confirm", SAID, fresh="shipped_order"),
    # --- escrow
    "create_payment": post(
        "/v1/payments",
        {"checkout_id": "{checkout}", "provider": "sandbox", "method": "page"},
        fresh="placed_order",
    ),
    "get_payment": get("/v1/payments/{payment}"),
    "get_hold": get("/v1/holds/{order}"),
    "get_proof": get("/v1/escrow/proof"),
    "create_callback": Call("POST", "/v1/callbacks/payments/sandbox", {"type": "charge.succeeded", "data": {}}),
    # --- distribution
    "create_share_link": post("/v1/share-links", {"offer_id": "{offer}"}),
    "list_share_links": get("/v1/share-links", thing="{link}"),
    "get_link": get("/v1/links/{link_token}"),
    "create_touch": post("/v1/touches", {"token": "{link_token}"}),
    "get_attribution": get("/v1/attributions/{order}"),
    "list_commissions": get("/v1/commissions", thing="{commission}"),
    "get_compliance": get("/v1/compliance"),
    "get_angel": get("/v1/angels/me"),
    "update_angel": Call("PUT", "/v1/angels/me", {"rules_version": 1}),
}


def filled(node: Any, things: Mapping[str, str]) -> Any:
    """The same with the names of things in braces replaced by their ids."""
    if isinstance(node, Mapping):
        return {key: filled(value, things) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, things) for value in node]
    return node.format_map(things) if isinstance(node, str) else node
