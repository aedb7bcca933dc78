"""The one way to say no."""


class Refused(Exception):  # noqa: N818 (named as what happened)
    """A request the provider does not carry out; nothing was changed. `code` is stable, `message` is for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
