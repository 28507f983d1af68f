import asyncio

import pytest

from bench.simulate.loop import run


def test_a_long_wait_takes_no_time_and_moves_the_clock():
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.sleep(86_400)
        return loop.time()

    assert 86_400 == run(main)


def test_tasks_go_on_in_the_order_in_which_their_waits_end():
    order = []

    async def wait(seconds):
        await asyncio.sleep(seconds)
        order.append((seconds, asyncio.get_running_loop().time()))

    async def main():
        async with asyncio.TaskGroup() as tasks:
            for seconds in (3, 1, 2):
                tasks.create_task(wait(seconds))

    run(main)

    assert [(1, 1), (2, 2), (3, 3)] == order


def test_a_time_limit_holds_in_virtual_time():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(31)
        return asyncio.get_running_loop().time()

    assert 30 == run(main)


def test_waiting_for_what_never_comes_is_an_error():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="never come"):
        run(main)
