"""The order service's operations: parse, then the desk or a read; no rules here."""

from chassis import web
from services.order.routes import goods, orders

router = web.router()
router.include_router(goods.router)
router.include_router(orders.router)
