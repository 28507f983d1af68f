"""The clock that moves when it is told to."""

import pytest

from llmroute.testing import Clock

pytestmark = pytest.mark.anyio


async def test_time_passes_when_told_to_and_while_somebody_sleeps():
    clock = Clock(10.0)
    clock.advance(1.5)
    await clock.sleep(3.0)

    assert (14.5, 14.5) == (clock.now(), clock())
    assert [3.0] == clock.slept


async def test_sleeping_for_less_than_nothing_takes_no_time():
    clock = Clock()
    await clock.sleep(-1.0)

    assert 0.0 == clock.now()


async def test_it_does_not_run_backwards():
    with pytest.raises(ValueError, match="backwards"):
        Clock().advance(-0.1)
