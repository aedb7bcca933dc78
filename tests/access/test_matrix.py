"""Every operation, every role, on one's own things, on another's, and on what does not exist."""

import pytest

from tests.access.cast import House
from tests.access.matrix import ROWS
from tests.access.walk import walk, wrong

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize("name", ROWS)
async def test_row(house: House, name: str) -> None:
    assert wrong(await walk(house, ROWS[name])) == []
