"""What the pay page says, in two languages, and how it writes money and time."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

Language = Literal["zh", "en"]

SHANGHAI = timezone(timedelta(hours=8))
NO_DECIMALS = frozenset({"CLP", "JPY", "KRW", "VND"})
THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})

TEXTS: dict[Language, dict[str, str]] = {
    "zh": {
        "title": "收银台",
        "pending": "待付款",
        "paid": "付款成功",
        "closed": "订单已关闭",
        "missing": "找不到这笔付款",
        "missing_hint": "请回到订单页，重新打开付款链接。",
        "payee": "付款给",
        "description": "商品",
        "out_no": "付款单号",
        "expires_at": "请在此前付款",
        "transaction_id": "交易号",
        "paid_at": "付款时间",
        "notice": "沙箱环境：不会动用真实资金，也不会询问卡号。",
        "closed_hint": "这笔付款已过期或被取消，没有扣款。",
        "pay": "立即付款",
        "default_payee": "部落 Buluo",
    },
    "en": {
        "title": "Checkout",
        "pending": "Waiting for your payment",
        "paid": "Paid",
        "closed": "Closed",
        "missing": "Payment not found",
        "missing_hint": "Go back to your order and open the payment link again.",
        "payee": "Pay to",
        "description": "For",
        "out_no": "Payment no.",
        "expires_at": "Pay before",
        "transaction_id": "Transaction",
        "paid_at": "Paid at",
        "notice": "Sandbox: no real money moves, and no card number is asked for.",
        "closed_hint": "This payment has expired or was cancelled. Nothing was charged.",
        "pay": "Pay",
        "default_payee": "Buluo",
    },
}


def choose_language(accept_language: str) -> Language:
    """The reader's favourite of the two by `Accept-Language`; Chinese when neither is named."""
    weights: dict[Language, float] = {"zh": 0.001, "en": 0}
    for part in accept_language.lower().split(","):
        tag, _, parameter = part.strip().partition(";")
        weight = _weight(parameter)
        if tag.startswith("zh"):
            weights["zh"] = max(weights["zh"], weight)
        elif tag.startswith("en"):
            weights["en"] = max(weights["en"], weight)
    return "en" if weights["en"] > weights["zh"] else "zh"


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0


def money_parts(amount: int, currency: str, language: Language) -> tuple[str, str, str]:
    """Symbol, whole units and the rest, such as `("¥", "79", ".80")` for 7980 minor units of CNY."""
    symbol = {"zh": "¥", "en": "CN¥"}[language] if currency == "CNY" else f"{currency} "
    decimals = 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2
    whole, rest = divmod(amount, 10**decimals)
    return symbol, f"{whole:,}", f".{rest:0{decimals}d}" if decimals else ""


def local_time(at_seconds: float) -> str:
    """In the time of Shanghai, whatever the language; the offset is written where it could be doubted."""
    at = datetime.fromtimestamp(at_seconds, UTC).astimezone(SHANGHAI)
    return f"{at:%Y-%m-%d %H:%M} UTC+8"
