"""The one error of this package."""


class PostgresFailed(Exception):  # noqa: N818 (named as what happened, like every refusal here)
    """There is no server to use. The message says what to do, or ends with the server's own words."""
