"""`python -m sandbox`: the provider alone, until SIGTERM or SIGINT."""

import sys

import uvicorn
from pydantic import ValidationError

from sandbox.app import build
from sandbox.settings import SandboxSettings


def main() -> None:
    """Serve until stopped; exit 1 with a readable message when a setting is missing or wrong."""
    try:
        settings = SandboxSettings()
    except ValidationError as error:
        sys.exit(_readable(error))
    uvicorn.run(
        build(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


def _readable(error: ValidationError) -> str:
    lines = (("_".join(str(part) for part in problem["loc"]).upper(), problem["msg"]) for problem in error.errors())
    return "\n".join(f"BULUO_SANDBOX_{name}: {message}" for name, message in lines)


if __name__ == "__main__":
    main()
