# SPDX-License-Identifier: Apache-2.0
"""Who waits for which mailbox, and what wakes them."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

from e2ecross.service.limits import ServiceLimits
from e2ecross.service.mail_bell import MailBell
from tests.relay.support import ANA, BUDI


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def test_a_ring_wakes_those_of_that_mailbox() -> None:
    async def work() -> None:
        bell = MailBell(ServiceLimits())
        with bell.place(ANA) as one, bell.place(ANA) as two, bell.place(BUDI) as other:
            assert one is not None
            assert two is not None
            assert other is not None
            assert len(bell) == 3
            ringer = threading.Thread(target=bell.ring, args=(ANA,))
            ringer.start()
            await asyncio.gather(one.wait(60), two.wait(60))
            ringer.join()
            started = time.monotonic()
            await other.wait(0.05)
            assert time.monotonic() - started >= 0.04
        assert len(bell) == 0

    run(work())


def test_a_ring_between_looking_and_waiting_is_not_missed() -> None:
    async def work() -> None:
        bell = MailBell(ServiceLimits())
        for _ in range(1000):
            with bell.place(ANA) as place:
                assert place is not None
                place.look()
                bell.ring(ANA)  # comes with the next turn of the loop
                await place.wait(60)
                place.look()
                await place.wait(0)

    run(work())


def test_a_ring_for_nobody_does_nothing() -> None:
    MailBell(ServiceLimits()).ring(ANA)


def test_a_ring_after_the_loop_has_ended_does_nothing() -> None:
    bell = MailBell(ServiceLimits())

    async def work() -> None:
        place = bell.place(ANA)
        place.__enter__()
        kept.append(place)

    kept: list[object] = []
    run(work())
    bell.ring(ANA)


def test_nobody_waits_after_stop() -> None:
    async def work() -> None:
        bell = MailBell(ServiceLimits())
        with bell.place(ANA) as place:
            assert place is not None
            asyncio.get_running_loop().call_soon(bell.stop)
            await place.wait(60)
            assert bell.is_stopped

    run(work())


def test_who_leaves_is_woken() -> None:
    async def work() -> None:
        bell = MailBell(ServiceLimits())
        with bell.place(ANA) as place:
            assert place is not None
            asyncio.get_running_loop().call_soon(place.leave)
            await place.wait(60)
            assert place.is_left

    run(work())


def test_places_are_bounded_for_each_device_and_for_all() -> None:
    async def work() -> None:
        bell = MailBell(ServiceLimits(waiting_calls=3, waiting_calls_per_device=2))
        with bell.place(ANA) as one, bell.place(ANA) as two, bell.place(ANA) as three:
            assert (one is None, two is None, three is None) == (False, False, True)
            with bell.place(BUDI) as four, bell.place(BUDI) as five:
                assert (four is None, five is None) == (False, True)
        with bell.place(ANA) as again:
            assert again is not None
        assert len(bell) == 0

    run(work())


def test_of_a_mailbox_that_nobody_waits_for_nothing_is_kept() -> None:
    async def work() -> None:
        bell = MailBell(ServiceLimits())
        with bell.place(ANA), bell.place(BUDI):
            with bell.place(ANA):
                pass
            assert set(bell.waited_for()) == {ANA, BUDI}
        assert bell.waited_for() == []

    run(work())
