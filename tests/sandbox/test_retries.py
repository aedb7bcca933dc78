"""When a callback is tried again: the whole schedule as a table."""

from sandbox.events import retry_at

HOUR = 3600


def schedule() -> list[float]:
    """The times of all attempts at an event that nobody ever acknowledges, in seconds after its birth."""
    times: list[float] = [0]
    while (again := retry_at(0, len(times), times[-1])) is not None:
        times.append(again)
    return times


def test_the_first_retries_are_quick_and_then_every_five_minutes() -> None:
    assert schedule()[:9] == [0, 1, 3, 8, 18, 48, 108, 408, 708]


def test_a_callback_is_given_up_after_25_hours() -> None:
    last = schedule()[-1]
    assert 25 * HOUR - 300 < last <= 25 * HOUR
