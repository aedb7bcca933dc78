"""Logs of a process: one JSON object a line on stdout, with the id of the request that they are about."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from chassis.web import Scope

QUIET = ("aio_pika", "aiormq", "uvicorn")
"""What these have to say of the broker and of clients, our own lines say in our own words."""


def to_stdout() -> None:
    """Everything that is logged, ours and the libraries', as JSON on stdout."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, render],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=render))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def correlated(scope: Scope) -> Iterator[None]:
    """Whatever is logged in here names the request."""
    request_id = next((value for name, value in scope.get("headers", ()) if name == b"request-id"), b"")
    if not request_id:
        yield
        return
    with structlog.contextvars.bound_contextvars(correlation=request_id.decode("latin-1")):
        yield
