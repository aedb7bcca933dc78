"""`python -m sandbox`: the provider alone, until SIGTERM or SIGINT."""

import sys

import uvicorn
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sandbox.app import build
from sandbox.settings import SandboxSettings


def main() -> None:
    """Serve until stopped; exit 1 with a readable message when a setting is missing or wrong."""
    try:
        settings = SandboxSettings()
    except ValidationError as error:
        sys.exit("\n".join(_readable(problem) for problem in error.errors()))
    uvicorn.run(
        build(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


def _readable(problem: ErrorDetails) -> str:
    name = "_".join(str(part) for part in problem["loc"])
    return f"BULUO_SANDBOX_{name.upper()}: {problem['msg']}"


if __name__ == "__main__":
    main()
