"""The gateway's own operations: parse, seal, ask the desk or read, answer. No rules here.

Tokens, codes and secrets are made here and never become a desk's reply, because replies are stored for replay: what is
stored of them is a hash.
"""

from chassis import web
from gateway.routes import parties, people, sandbox, signin

router = web.router()
for each in (signin, people, parties, sandbox):
    router.include_router(each.router)
