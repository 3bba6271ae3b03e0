# SPDX-License-Identifier: Apache-2.0
"""The threads behind the service: who is before whom."""

import asyncio
import threading
from collections.abc import Callable, Sequence

from e2ecross.service.workers import Together, Workers


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


# --- Calls that share a turn ---------------------------------------------------------------------


def test_what_waits_together_is_done_together_and_in_order() -> None:
    parts: list[list[int]] = []
    begun, free = threading.Event(), threading.Event()

    def work(calls: Sequence[int]) -> list[int | Exception]:
        begun.set()
        assert free.wait(20)
        parts.append(list(calls))
        return [ValueError(str(call)) if call % 10 == 7 else -call for call in calls]

    async def main() -> list[object]:
        workers = Workers(100, 5)
        together = Together(work)
        tasks = [asyncio.create_task(workers.write_together(together, 0))]
        await asyncio.to_thread(begun.wait, 20)
        tasks += [asyncio.create_task(workers.write_together(together, n)) for n in range(1, 40)]
        await asyncio.sleep(0)
        assert workers.queue == 40
        tasks[5].cancel()
        free.set()
        came = await asyncio.gather(*tasks, return_exceptions=True)
        assert workers.queue == 0
        workers.close()
        return list(came)

    came = asyncio.run(main())
    assert parts == [[0], list(range(1, 33)), list(range(33, 40))]
    for number, each in enumerate(came):
        if number == 5:
            assert isinstance(each, asyncio.CancelledError)
        elif number % 10 == 7:
            assert isinstance(each, ValueError)
            assert str(each) == str(number)
        else:
            assert each == -number


def test_a_fault_is_told_to_all_who_shared_the_turn() -> None:
    def work(calls: Sequence[int]) -> list[int | Exception]:
        raise RuntimeError

    async def main() -> list[object]:
        workers = Workers(100, 5)
        together = Together(work)
        calls = [workers.write_together(together, n) for n in range(3)]
        came = await asyncio.gather(*calls, return_exceptions=True)
        workers.close()
        return list(came)

    assert [type(each) for each in asyncio.run(main())] == [RuntimeError] * 3


def test_a_loop_that_has_ended_is_told_nothing() -> None:
    together = Together[int, int](lambda calls: list(calls))

    async def main() -> None:
        together.add(1)

    asyncio.run(main())
    together.do()
    together.do()  # nothing is left
