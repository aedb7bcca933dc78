"""Who may do what: one row per operation, or per (operation, move), one column per role. The only place that says so.

Each row is tried on a thing of the story ("ours"), on the same thing of another story ("theirs"), and on one that does
not exist. A cell is what the role is answered for ours:

    ok     2xx                          sees   200, and the list shows the thing
    none   200, without the thing       40x    this status, because of the role
    40x!   this status, whatever is named: refused before anything is looked up

`others` is what everybody is answered for theirs: `404` the same bytes as for one that does not exist, `ok` and `sees`
for what is public, `none` for a list that leaves it out, `-` where nothing is named. What does not exist is 404.

The cast: a merchant's owner, its staff and its pickup clerk; the owner of the partner that sells for it, who founded
the tribe; a member of the tribe, who wrote a document; an angel, who is no member and brought the buyer; the owner of
another merchant (theirs); the merchant's API key with every scope, and one with a scope that opens nothing here.
`asked/by_merchant` is a variant of a row: the same operation on another thing, or on a thing in another state.
"""

from dataclasses import dataclass

ROLES = (
    "anyone", "stranger", "buyer", "owner", "staff", "pickup", "partner", "member", "angel", "rival", "key", "bare"
)  # fmt: skip
PEOPLE = frozenset(ROLES) - {"anyone", "key", "bare"}

TABLE = """
                              anyone stranger buyer owner staff pickup partner member angel rival  key  bare | others
create_code                   ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | -
create_session                ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | -
get_me                        401!   ok       ok    ok    ok    ok     ok      ok     ok    ok     403! 403! | -
update_me                     401!   ok       ok    ok    ok    ok     ok      ok     ok    ok     403! 403! | -
create_recipient              401!   ok       ok    ok    ok    ok     ok      ok     ok    ok     403! 403! | -
delete_recipient              401!   404      ok    404   404   404    404     404    404   404    403! 403! | 404
create_disclosure             401!   404      403   ok    ok    403    403     404    404   404    ok   403! | 404
create_api_key                401!   404      404   ok    403   403    404     404    404   404    403! 403! | 404
list_api_keys                 401!   none     none  sees  none  none   none    none   none  none   403! 403! | none
delete_api_key                401!   404      404   ok    403   403    404     404    404   404    403! 403! | 404
list_events                   401!   none     sees  sees  sees  sees   sees    none   sees  none   sees 403! | none
get_operation                 401!   404      ok    404   404   404    404     404    404   404    403! 403! | 404
get_clock                     ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | -
create_clock_advance          401!   ok       ok    ok    ok    ok     ok      ok     ok    ok     403! 403! | -

create_merchant               401!   ok       ok    ok    ok    ok     ok      ok     ok    ok     403! 403! | -
list_merchants                sees   sees     sees  sees  sees  sees   sees    sees   sees  sees   sees sees | sees
list_merchants/draft          none   none     none  sees  none  none   none    none   none  none   none none | none
get_merchant                  ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | ok
get_merchant/draft            404    404      404   ok    404   404    404     404    404   404    404  404  | 404
update_merchant               401!   404      404   ok    ok    403    404     404    404   404    ok   403  | 404
create_partner                401!   ok       ok    ok    ok    ok     ok      ok     ok    ok     403! 403! | -
get_partner                   ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | ok
update_partner                401!   404      404   404   404   404    ok      404    404   404    404  404  | 404
list_staff                    401!   404      404   sees  403   403    404     404    404   404    sees 403  | 404
update_staff                  401!   404      404   ok    403   403    404     404    404   404    403! 403! | 404
create_application            401!   404      404   ok    ok    403    ok      404    404   404    ok   403  | 404
list_applications             401!   none     none  sees  sees  none   sees    none   none  none   sees 403! | none
list_applications/draft       401!   none     none  none  none  none   sees    none   none  none   none 403! | none
move_application:submit       401!   404      404   404   404   404    ok      404    404   404    404  404  | 404
move_application:submit/asked 401!   404      404   ok    ok    403    404     404    404   404    ok   403  | 404
move_application:accept       401!   404      404   ok    ok    403    ok      404    404   404    ok   403  | 404
move_application:reject       401!   404      404   ok    ok    403    403     404    404   404    ok   403  | 404
move_application:withdraw     401!   404      404   403   403   403    ok      404    404   404    403  403  | 404
list_partnerships             401!   none     none  sees  sees  none   sees    none   none  none   sees 403! | none
move_partnership:activate     401!   404      404   ok    ok    403    403     404    404   404    ok   403  | 404
move_partnership:suspend      401!   404      404   ok    ok    403    403     404    404   404    ok   403  | 404
move_partnership:resume       401!   404      404   ok    ok    403    403     404    404   404    ok   403  | 404
move_partnership:end          401!   404      404   ok    ok    403    ok      404    404   404    ok   403  | 404

create_tribe                  401!   404      404   404   404   404    ok      404    404   404    403! 403! | 404
list_tribes                   sees   sees     sees  sees  sees  sees   sees    sees   sees  sees   sees sees | sees
get_tribe                     ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | ok
update_tribe                  401!   404      404   404   404   404    ok      403    404   404    404  404  | 404
update_role                   401!   404      404   404   404   404    ok      403    404   404    403! 403! | 404
create_invitation             401!   404      404   404   404   404    ok      404    404   404    404  404  | 404
create_membership             401!   ok       ok    ok    ok    ok     409     409    ok    ok     403! 403! | ok
list_memberships              401!   404      404   404   404   404    sees    sees   404   404    404  404  | 404
delete_membership             401!   404      404   404   404   404    404     ok     404   404    403! 403! | 404
create_content                401!   404      404   404   404   404    ok      ok     404   404    403! 403! | 404
list_contents                 sees   sees     sees  sees  sees  sees   sees    sees   sees  sees   sees sees | sees
get_content                   ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | ok
delete_content                401!   404      404   404   404   404    ok      ok     404   404    404  404  | 404
delete_content/operators      401!   404      404   404   404   404    ok      403    404   404    404  404  | 404

create_product                401!   404      404   ok    ok    403    404     404    404   404    ok   403  | 404
list_products                 sees   sees     sees  sees  sees  sees   sees    sees   sees  sees   sees sees | sees
list_products/draft           none   none     none  sees  sees  sees   none    none   none  none   sees none | none
get_product                   ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | ok
get_product/draft             404    404      404   ok    ok    ok     404     404    404   404    ok   404  | 404
update_product                401!   404      404   ok    ok    403    404     404    404   404    ok   403  | 404
create_stock_movement         401!   404      404   ok    ok    403    404     404    404   404    ok   403  | 404
create_offer                  401!   404      404   ok    ok    403    404     404    404   404    ok   403  | 404
list_offers                   sees   sees     sees  sees  sees  sees   sees    sees   sees  sees   sees sees | sees
list_offers/withdrawn         none   none     none  sees  sees  sees   none    none   none  none   sees none | none
get_offer                     ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | ok
delete_offer                  401!   404      404   ok    ok    403    404     404    404   404    ok   403  | 404
create_checkout               401!   ok       ok    ok    ok    ok     ok      ok     ok    ok     403! 403! | ok
list_orders                   401!   none     sees  none  none  none   none    none   none  none   403! 403! | none
list_orders/sold              401!   none     none  sees  sees  sees   sees    none   none  none   sees 403! | none
get_order                     401!   404      ok    ok    ok    ok     ok      404    404   404    ok   403! | 404
create_shipment               401!   404      403   ok    ok    403    403     404    404   404    ok   403  | 404
update_shipment               401!   404      403   ok    ok    403    403     404    404   404    ok   403  | 404
update_shipment/delivered     401!   404      403   ok    ok    403    403     404    404   404    ok   403  | 404
move_order:cancel             401!   404      ok    ok    ok    403    403     404    404   404    ok   403  | 404
move_order:confirm            401!   404      ok    403   403   403    403     404    404   404    403  403  | 404

create_payment                401!   404      ok    404   404   404    404     404    404   404    403! 403! | 404
get_payment                   401!   404      ok    404   404   404    404     404    404   404    403! 403! | 404
get_hold                      401!   404      ok    ok    ok    ok     ok      404    404   404    ok   403! | 404
get_proof                     ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | -
create_callback               401!   401!     401!  401!  401!  401!   401!    401!   401!  401!   401! 401! | -

create_share_link             401!   403      403   403   403   403    403     403    ok    403    403! 403! | ok
list_share_links              401!   none     none  none  none  none   none    none   sees  none   403! 403! | none
get_link                      ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | ok
create_touch                  ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | ok
get_attribution               401!   404      ok    ok    ok    ok     404     404    ok    404    ok   403! | 404
list_commissions              401!   none     none  none  none  none   none    none   sees  none   403! 403! | none
get_compliance                ok     ok       ok    ok    ok    ok     ok      ok     ok    ok     ok   ok   | -
get_angel                     401!   404      404   404   404   404    404     404    ok    404    403! 403! | -
update_angel                  401!   ok       ok    ok    ok    ok     ok      ok     ok    ok     403! 403! | -
"""

RELATIONS = {
    "any": frozenset(ROLES),
    "any_in_sandbox": frozenset(ROLES),
    "signed": frozenset[str](),
    "person": PEOPLE,
    "party": frozenset(ROLES) - {"anyone"},
    "buyer": frozenset({"buyer"}),
    "seller": frozenset({"owner", "staff", "pickup", "key"}),
    "merchant": frozenset({"owner", "staff", "pickup", "key"}),
    "owner": frozenset({"owner", "partner", "key"}),
    "partner": frozenset({"partner"}),
    "operator": frozenset({"partner"}),
    "author": frozenset({"member"}),
    "member": frozenset({"member", "partner"}),
    "angel": frozenset({"angel"}),
    "ops": frozenset[str](),
}
"""Which roles of the cast stand behind the words of `x-who`. Nobody here signs callbacks or runs the platform."""

LET_IN = frozenset({"ok", "sees", "409"})
"""Cells of those whom the operation is for: the state of the thing may still say no."""


@dataclass(frozen=True, slots=True)
class Row:
    """`name` is `operation`, `operation:move` or either with `/variant`."""

    name: str
    cells: dict[str, str]
    others: str

    @property
    def operation(self) -> str:
        return self.name.partition("/")[0].partition(":")[0]

    @property
    def move(self) -> str:
        return self.name.partition("/")[0].partition(":")[2]

    @property
    def let_in(self) -> frozenset[str]:
        return frozenset(role for role, cell in self.cells.items() if cell in LET_IN)


def rows() -> dict[str, Row]:
    header, *lines = [line for line in TABLE.splitlines() if line.strip()]
    assert tuple(header.split()) == (*ROLES, "|", "others")
    return {row.name: row for row in map(_row, lines)}


def _row(line: str) -> Row:
    name, *cells, bar, others = line.split()
    assert bar == "|", line
    return Row(name, dict(zip(ROLES, cells, strict=True)), others)


ROWS = rows()
