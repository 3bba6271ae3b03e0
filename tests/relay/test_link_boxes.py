# SPDX-License-Identifier: Apache-2.0
"""Boxes for the messages by which a device is linked that has no address yet."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import BackendError, BackendRefused, NotRegistered
from e2ecross.relay import Relay
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    device_list,
    digest,
    file_bytes,
    register,
    token,
    token_sha256,
)

OFFER, ANSWER, RESULT = range(3)
LIFETIME_MS = 600_000
TABLET = Address(ANA.app, ANA.user, 2)


def box(number: int = 0) -> bytes:
    return digest(f"box {number}")[:16]


def put(
    relay: Relay, slot: int, data: bytes, number: int = 0, holder: Address | None = None
) -> None:
    """Put something into a box: the answer as nobody, the others as ana, if nobody else does."""
    if slot == ANSWER:
        relay.put_link(box(number), slot, data)
    else:
        holder = holder or ANA
        relay.put_link(box(number), slot, data, address=holder, token=token(holder))


def slots(relay: Relay, number: int = 0) -> list[bytes | None]:
    return [relay.get_link(box(number), slot) for slot in range(3)]


def boxes(path: Path) -> int:
    connection = sqlite3.connect(path)
    (count,) = connection.execute("SELECT COUNT(*) FROM link_boxes").fetchone()
    connection.close()
    return int(count)


@pytest.fixture
def linking(relay: Relay) -> Relay:
    """A relay where ana has opened a box."""
    put(relay, OFFER, b"offer")
    return relay


def test_three_messages_each_in_its_slot(relay: Relay) -> None:
    assert slots(relay) == [None, None, None]
    put(relay, OFFER, b"offer")
    assert slots(relay) == [b"offer", None, None]
    put(relay, ANSWER, b"answer")
    put(relay, RESULT, b"result")
    assert slots(relay) == [b"offer", b"answer", b"result"]
    assert slots(relay, 1) == [None, None, None]


def test_each_may_be_repeated_and_none_is_written_twice(linking: Relay) -> None:
    for slot, data in ((OFFER, b"offer"), (ANSWER, b"answer"), (RESULT, b"result")):
        for _ in range(2):
            put(linking, slot, data)
        for other in (b"another", data + b"\0", data[:-1]):
            with pytest.raises(BackendRefused, match="another message is in this link box"):
                put(linking, slot, other)
    assert slots(linking) == [b"offer", b"answer", b"result"]


def test_the_result_may_come_before_the_answer(linking: Relay) -> None:
    """Nothing depends on the order: both ends check what they open."""
    put(linking, RESULT, b"result")
    put(linking, ANSWER, b"answer")
    assert slots(linking) == [b"offer", b"answer", b"result"]


def test_only_an_offer_opens_a_box(relay: Relay, path: Path) -> None:
    for slot in (ANSWER, RESULT):
        with pytest.raises(BackendRefused, match="there is no link box of this id"):
            put(relay, slot, b"data")
    assert boxes(path) == 0


def test_an_offer_needs_a_registered_device(relay: Relay, path: Path) -> None:
    for address, key in ((ANA, token(BUDI)), (TABLET, token(TABLET)), (ANA, bytes(32))):
        with pytest.raises(NotRegistered):
            relay.put_link(box(), OFFER, b"offer", address=address, token=key)
    assert boxes(path) == 0


def test_the_box_is_that_of_the_device_that_has_opened_it(linking: Relay) -> None:
    """Another phone was faster; also another device of the same account is another one."""
    register(linking, TABLET)
    for other in (BUDI, TABLET):
        for slot, data in ((OFFER, b"offer"), (OFFER, b"another"), (RESULT, b"result")):
            with pytest.raises(BackendRefused, match="another device has opened this link box"):
                put(linking, slot, data, holder=other)
    assert slots(linking) == [b"offer", None, None]
    with pytest.raises(NotRegistered):
        linking.put_link(box(), RESULT, b"result", address=ANA, token=token(BUDI))
    put(linking, RESULT, b"result")


def test_an_answer_and_reading_need_nothing_but_the_id(linking: Relay) -> None:
    linking.put_link(box(), ANSWER, b"answer", address=TABLET, token=b"not looked at")
    assert slots(linking) == [b"offer", b"answer", None]


def test_the_largest_message(linking: Relay) -> None:
    for slot in (ANSWER, RESULT):
        with pytest.raises(BackendRefused, match="10241 bytes, a link box takes up to 10240"):
            put(linking, slot, bytes(10_241))
        put(linking, slot, bytes(10_240))
    assert slots(linking) == [b"offer", bytes(10_240), bytes(10_240)]


def test_a_box_is_there_for_ten_minutes(linking: Relay, clock: FakeClock) -> None:
    clock.now_ms += LIFETIME_MS - 1
    assert slots(linking) == [b"offer", None, None]
    put(linking, ANSWER, b"answer")
    clock.now_ms += 1
    assert slots(linking) == [None, None, None]
    for slot, data in ((ANSWER, b"answer"), (RESULT, b"result")):
        with pytest.raises(BackendRefused, match="its time is over"):
            put(linking, slot, data)


def test_one_of_the_same_id_begins_anew(linking: Relay, clock: FakeClock) -> None:
    put(linking, ANSWER, b"answer")
    clock.now_ms += LIFETIME_MS
    put(linking, OFFER, b"another", holder=BUDI)
    assert slots(linking) == [b"another", None, None]
    clock.now_ms += LIFETIME_MS - 1
    assert slots(linking) == [b"another", None, None]


def test_a_clock_that_is_put_back_closes_no_box_and_keeps_none_for_ever(
    linking: Relay, path: Path, clock: FakeClock
) -> None:
    clock.now_ms -= LIFETIME_MS - 1
    assert slots(linking) == [b"offer", None, None]
    put(linking, ANSWER, b"answer")
    clock.now_ms -= 1
    assert slots(linking) == [None, None, None]
    put(linking, OFFER, b"another", 1, BUDI)
    assert boxes(path) == 1


def test_an_account_has_three(relay: Relay, path: Path, clock: FakeClock) -> None:
    register(relay, TABLET, TOKO, Address(ANA.app, "ana-"), Address(ANA.app, "an"))
    put(relay, OFFER, b"offer", 0)
    clock.now_ms += 1_000
    put(relay, OFFER, b"offer", 1, TABLET)
    put(relay, OFFER, b"offer", 2)
    for holder in (ANA, TABLET):
        with pytest.raises(BackendRefused, match=r"whatsapp:ana has 3 link boxes: .* 10 minutes"):
            put(relay, OFFER, b"offer", 3, holder)
    put(relay, OFFER, b"offer", 2)  # a repetition is none more
    put(relay, ANSWER, b"answer", 1)
    for number, other in enumerate((BUDI, Address(ANA.app, "ana-"), Address(ANA.app, "an")), 4):
        put(relay, OFFER, b"offer", number, other)
    clock.now_ms += LIFETIME_MS - 1_000
    put(relay, OFFER, b"offer", 3)
    with pytest.raises(BackendRefused):
        put(relay, OFFER, b"offer", 9)
    assert boxes(path) == 6


def _insert(path: Path, opened_at_ms: int, owners: Sequence[str]) -> None:
    """Boxes 100, 101, ... of these devices, one millisecond after the other."""
    connection = sqlite3.connect(path)
    with connection:
        connection.executemany(
            "INSERT INTO link_boxes (id, opened_by, opened_at_ms, offer) VALUES (?, ?, ?, x'00')",
            [(box(100 + n), owner, opened_at_ms + n) for n, owner in enumerate(owners)],
        )
    connection.close()


def test_expired_ones_are_removed_a_bounded_number_of_them(
    relay: Relay, path: Path, clock: FakeClock
) -> None:
    _insert(path, clock.now_ms, [f"x:user-{n}.1" for n in range(250)])
    clock.now_ms += LIFETIME_MS + 1_000
    put(relay, OFFER, b"offer")
    assert boxes(path) == 151
    put(relay, ANSWER, b"answer")  # of whatever slot
    assert boxes(path) == 51
    with pytest.raises(BackendRefused):  # which is undone, as all that is refused
        put(relay, ANSWER, b"another")
    assert boxes(path) == 51
    put(relay, OFFER, b"offer", 1)
    assert boxes(path) == 2


def test_expired_ones_that_are_not_removed_yet_are_none(
    relay: Relay, path: Path, clock: FakeClock
) -> None:
    _insert(path, clock.now_ms, [f"x:user-{n}.1" for n in range(100)] + [str(ANA)] * 3)
    clock.now_ms += LIFETIME_MS + 1_000
    assert slots(relay, 202) == [None, None, None]
    put(relay, OFFER, b"offer", 202)
    assert slots(relay, 202) == [b"offer", None, None]
    assert boxes(path) == 3


def test_boxes_of_a_device_go_with_it(relay: Relay) -> None:
    data = device_list(ANA, 1, (1, 2)).encode()
    relay.publish_devices(token(ANA), data, {2: token_sha256(token(TABLET))})
    put(relay, OFFER, b"offer", 0)
    put(relay, OFFER, b"offer", 1, TABLET)
    relay.publish_devices(token(ANA), device_list(ANA, 2).encode(), {})
    assert slots(relay, 0) == [b"offer", None, None]
    assert slots(relay, 1) == [None, None, None]


def test_a_device_that_moves_goes_on_with_its_box(linking: Relay) -> None:
    linking.register(ANA, token(ANA, 1), replaces=token(ANA))
    with pytest.raises(NotRegistered):
        put(linking, RESULT, b"result")
    linking.put_link(box(), RESULT, b"result", address=ANA, token=token(ANA, 1))


def test_a_box_stays_after_a_restart_and_goes_from_the_file(path: Path, clock: FakeClock) -> None:
    with Relay(path, clock=clock) as relay:
        register(relay, ANA)
        put(relay, OFFER, b"a sealed offer")
    with Relay(path, clock=clock) as relay:
        assert slots(relay) == [b"a sealed offer", None, None]
        clock.now_ms += LIFETIME_MS
        put(relay, OFFER, b"another", 1)
    assert b"a sealed offer" not in file_bytes(path)


@pytest.mark.parametrize("change", ["offer = 5", "answer = 'text'", "opened_by = x'00'"])
def test_a_damaged_box_is_an_error_of_the_file(linking: Relay, path: Path, change: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"UPDATE link_boxes SET {change}")  # noqa: S608
    connection.close()
    with pytest.raises(BackendError, match="no relay wrote"):
        linking.get_link(box(), OFFER)
    with pytest.raises(BackendError, match="no relay wrote"):
        put(linking, ANSWER, b"answer")
