# SPDX-License-Identifier: Apache-2.0
"""The threads behind the service: who is before whom."""

import asyncio
import threading
from collections.abc import Callable

from e2ecross.service.workers import Workers


def test_others_wait_for_one_slow_call_at_most() -> None:
    """However many uploads have come before."""
    done: list[str] = []
    free = threading.Event()

    def work(name: str) -> Callable[[], None]:
        def do() -> None:
            assert free.wait(20)
            done.append(name)

        return do

    async def main() -> None:
        workers = Workers(100, 5)
        slow = [asyncio.create_task(workers.write_slowly(work(f"slow {n}"))) for n in range(5)]
        await asyncio.sleep(0)
        assert workers.is_slowly_busy
        assert not workers.is_busy
        others = [asyncio.create_task(workers.write(work(f"other {n}"))) for n in range(3)]
        await asyncio.sleep(0)
        free.set()
        await asyncio.gather(*slow, *others)
        assert not workers.is_slowly_busy
        assert workers.queue == 0
        workers.close()

    asyncio.run(main())
    assert done == [
        "slow 0",
        *(f"other {n}" for n in range(3)),
        *(f"slow {n}" for n in range(1, 5)),
    ]


def test_a_slow_call_that_fails_lets_the_next_go_on() -> None:
    async def main() -> list[object]:
        workers = Workers(1, 2)
        calls = [workers.write_slowly(lambda: 1 // 0), workers.write_slowly(lambda: 7)]
        came = await asyncio.gather(*calls, return_exceptions=True)
        assert not workers.is_slowly_busy
        workers.close()
        return list(came)

    failed, found = asyncio.run(main())
    assert isinstance(failed, ZeroDivisionError)
    assert found == 7


def test_who_finds_the_writer_busy_finds_it_busy_for_slow_calls() -> None:
    workers = Workers(0, 9)
    assert workers.is_busy
    assert workers.is_slowly_busy
    workers.close()
