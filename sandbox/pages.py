"""The hosted pay page: one card, one button, no script, nothing loaded from anywhere."""

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from sandbox import charges
from sandbox.charges import Charge
from sandbox.clock import now_seconds, rfc3339
from sandbox.courier import Courier
from sandbox.faults import Faults
from sandbox.refusals import Refused
from sandbox.store import Store
from sandbox.texts import TEXTS, Language, choose_language, local_time, money_parts

PAGE = Template(Path(__file__).with_name("page.html").read_text("utf-8"))
STYLE = Path(__file__).with_name("page.css").read_text("utf-8").strip()
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # The token in the address is a key: it must not travel to other sites.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Accept-Language",
}
MARK = '<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path d="M4 13l5 5L20 7"/></svg>'
LOOKS = {"pending": "", "paid": "done", "closed": "over"}


class PayPages:
    """What a buyer sees; the token in the path is the permission."""

    def __init__(self, store: Store, faults: Faults, courier: Courier) -> None:
        self._store = store
        self._faults = faults
        self._courier = courier

    async def show(self, token: str, request: Request) -> Response:
        """`GET /pay/{token}`."""
        try:
            charge = charges.find_by_token(self._store, token)
        except Refused as refused:
            return _refusal(request, refused)
        return _charge(request, charge)

    async def pay(self, token: str, request: Request) -> Response:
        """`POST /pay/{token}`: a browser is sent back to the page, so that a reload does not post again."""
        at = now_seconds()
        announce_at = at + self._faults.plan.callback_delay_seconds
        try:
            charge = charges.pay(self._store, token, at=at, announce_at=announce_at)
        except Refused as refused:
            return _refusal(request, refused)
        self._courier.wake()
        return _charge(request, charge) if _wants_json(request) else RedirectResponse(request.url.path, 303, HEADERS)


def router(pages: PayPages) -> APIRouter:
    """The two unsigned paths."""
    routes = APIRouter(prefix="/pay")
    routes.get("/{token}")(pages.show)
    routes.post("/{token}")(pages.pay)
    return routes


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _charge(request: Request, charge: Charge) -> Response:
    if _wants_json(request):
        return JSONResponse(_as_json(charge), headers=HEADERS)
    language = choose_language(request.headers.get("Accept-Language", ""))
    return _html(language, _summary(language, charge) + _details(language, charge), action=_action(language, charge))


def _refusal(request: Request, refused: Refused) -> Response:
    if _wants_json(request):
        content = {"code": refused.code, "message": refused.message}
        return JSONResponse(content, refused.status, headers=HEADERS)
    language = choose_language(request.headers.get("Accept-Language", ""))
    words = TEXTS[language]
    title, hint = ("closed", "closed_hint") if refused.code == "charge_closed" else ("missing", "missing_hint")
    body = f'<section class="card summary"><h1>{words[title]}</h1><p>{words[hint]}</p></section>'
    return _html(language, body, status=refused.status)


def _html(language: Language, body: str, *, action: str = "", status: int = 200) -> HTMLResponse:
    words = TEXTS[language]
    page = PAGE.substitute(
        lang={"zh": "zh-CN", "en": "en"}[language],
        title=words["title"],
        style=STYLE,
        body=body,
        notice=words["notice"],
        action=action,
    )
    return HTMLResponse(page, status, {**HEADERS, "Content-Language": {"zh": "zh-CN", "en": "en"}[language]})


def _summary(language: Language, charge: Charge) -> str:
    words, state = TEXTS[language], charge.state(now_seconds())
    symbol, whole, rest = money_parts(charge.amount, charge.currency, language)
    money = f'<div class="money"><small>{symbol}</small>{whole}<small>{rest}</small></div>'
    payee = escape(charge.payee or words["default_payee"])
    head, foot = {
        "pending": (f"<h1>{words['payee']} {payee}</h1>", f'<span class="tag">{words["pending"]}</span>'),
        "paid": (f"{MARK}<h1>{words['paid']}</h1>", ""),
        "closed": (f"<h1>{words['closed']}</h1>", f"<div>{words['closed_hint']}</div>"),
    }[state]
    return f'<section class="card summary {LOOKS[state]}">{head}{money}{foot}</section>'


def _details(language: Language, charge: Charge) -> str:
    words = TEXTS[language]
    lines = [
        *([("payee", charge.payee or words["default_payee"], "")] if charge.paid_at is not None else []),
        ("description", charge.description, ""),
        ("out_no", charge.out_no, "code"),
        *_ending(charge),
    ]
    rows = (
        f'<div><dt>{words[name]}</dt><dd class="{look}">{escape(text)}</dd></div>' for name, text, look in lines if text
    )
    return f'<section class="card"><dl>{"".join(rows)}</dl></section>'


def _ending(charge: Charge) -> list[tuple[str, str, str]]:
    if charge.paid_at is None or charge.transaction_id is None:
        return [("expires_at", local_time(charge.expires_at), "")]
    return [("transaction_id", charge.transaction_id, "code"), ("paid_at", local_time(charge.paid_at), "")]


def _action(language: Language, charge: Charge) -> str:
    if charge.state(now_seconds()) != "pending":
        return ""
    text = f"{TEXTS[language]['pay']} {''.join(money_parts(charge.amount, charge.currency, language))}"
    return f'<form class="bar" method="post"><button>{text}</button></form>'


def _as_json(charge: Charge) -> dict[str, object]:
    return {
        "out_no": charge.out_no,
        "state": charge.state(now_seconds()),
        "amount": charge.amount,
        "currency": charge.currency,
        "transaction_id": charge.transaction_id,
        "paid_at": None if charge.paid_at is None else rfc3339(charge.paid_at),
    }
