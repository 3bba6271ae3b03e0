# SPDX-License-Identifier: Apache-2.0
"""A back end that was put back to a backup gives its numbers a second time, to other envelopes."""

from collections.abc import Sequence

import pytest

from e2ecross import Address, Client, Text
from e2ecross.errors import BackendError
from tests.client.conversation import forget_sessions, read, reopen, send, shown
from tests.support.devices import BUDI, TOKO, BackendSimulator, make_client


class Recording(BackendSimulator):
    """Notes the bytes of what it is told to forget."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: list[bytes] = []

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        before = {item.number: item.envelope for item in self.fetch(address, token, 1000)}
        super().acknowledge(address, token, numbers)
        self.forgotten += [before[number] for number in numbers if number in before]


@pytest.fixture
def backend() -> Recording:
    return Recording()


@pytest.fixture
def pair(pair: tuple[Client, Client], backend: Recording) -> tuple[Client, Client]:
    backend.forgotten.clear()
    return pair


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("acknowledged", [False, True])
def test_new_envelopes_under_old_numbers_are_read(
    restarts: bool, acknowledged: bool, pair: tuple[Client, Client], backend: Recording
) -> None:
    ana, budi = pair
    backup = backend.backup()
    for text in ("one", "two"):
        ana.send(BUDI, Text(text))
    if not acknowledged:  # their numbers stay: the back end may hand them out again
        backend.fail("acknowledge")
    assert read(budi) == ["one", "two"]
    backend.forgotten.clear()
    backend.go_back_to(backup)
    for text in ("three", "four"):
        ana.send(BUDI, Text(text))
    mailbox = backend.mailbox(BUDI)
    if restarts:
        budi = reopen(budi, backend)
    assert read(budi) == ["three", "four"]
    assert backend.forgotten == mailbox
    assert read(budi) == []


@pytest.mark.parametrize("restarts", [False, True])
def test_nothing_is_acknowledged_that_was_not_taken_in(
    restarts: bool, pair: tuple[Client, Client], backend: Recording
) -> None:
    """The numbers that are known are those of other envelopes, and the store fails for these."""
    ana, budi = pair
    backup = backend.backup()
    for text in ("one", "two"):
        ana.send(BUDI, Text(text))
    backend.fail("acknowledge")
    assert read(budi) == ["one", "two"]
    backend.go_back_to(backup)
    for text in ("three", "four"):
        ana.send(BUDI, Text(text))
    if restarts:
        budi = reopen(budi, backend)
    backend.forgotten.clear()
    backend.fail("fetch", times=5)
    with pytest.raises(BackendError):
        budi.receive()
    backend.heal()
    budi.confirm(budi.receive(limit=1))
    assert len(backend.mailbox(BUDI)) == 1
    assert read(budi) == ["four"]
    assert backend.mailbox(BUDI) == []


def test_what_the_backup_still_has_is_no_second_message(
    pair: tuple[Client, Client], backend: Recording
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("one"))
    backup = backend.backup()
    assert read(budi) == ["one"]
    ana.send(BUDI, Text("two"))
    assert read(budi) == ["two"]
    backend.go_back_to(backup)
    ana.send(BUDI, Text("three"))
    assert read(budi) == ["!duplicate_message", "three"]
    assert read(budi) == read(ana) == []


def test_what_could_not_be_read_under_a_number_does_not_hide_what_comes_under_it(
    pair: tuple[Client, Client], backend: Recording
) -> None:
    ana, budi = pair
    backup = backend.backup()
    backend.inject(BUDI, b"garbage")
    backend.fail("acknowledge")
    assert read(budi) == ["!decode_error"]
    backend.go_back_to(backup)
    backend.inject(BUDI, b"other garbage")
    assert read(budi) == ["!decode_error"]
    assert read(budi) == []
    backend.go_back_to(backup)
    ana.send(BUDI, Text("one"))
    assert read(budi) == ["one"]


def test_the_same_bytes_under_another_number_are_told_by_the_ratchet(
    pair: tuple[Client, Client], backend: Recording
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("one"))
    copy = backend.mailbox(BUDI)[0]
    backend.fail("acknowledge")
    assert read(budi) == ["one"]
    backend.inject(BUDI, copy)
    assert read(budi) == ["!duplicate_message"]


def test_a_message_lost_with_the_back_end_is_asked_for_by_nobody_and_stops_nothing(
    pair: tuple[Client, Client], backend: Recording
) -> None:
    """What a back end took and lost nobody can notice; what it has is read."""
    ana, budi = pair
    toko = make_client(TOKO, backend)
    backup = backend.backup()
    ana.send(BUDI, Text("lost with the back end"))
    backend.go_back_to(backup)
    toko.send(BUDI, Text("hi"))
    ana.send(BUDI, Text("next"))
    assert read(budi) == ["hi", "next"]
    forget_sessions(budi)
    ana.send(BUDI, Text("comes again"))
    assert read(budi) == ["!unknown_session"]
    assert read(ana) == []
    assert read(budi) == ["comes again"]


def put_back_numbers(backend: BackendSimulator, address: Address, number: int) -> None:
    """Give what waits the numbers from this one on, as of a back end that was put back."""
    box = backend._accounts[address].mailbox
    box[:] = [(number + place, data) for place, (_, data) in enumerate(box)]
    backend.holds.clear()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_number_that_is_given_a_second_time_hides_no_message(
    restarts: bool, pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1")
    backend.fail("acknowledge")
    assert shown(budi.receive()) == ["0", "1"]
    first = backend._accounts[BUDI].mailbox[0][0]
    backend._accounts[BUDI].mailbox.clear()  # the backup is from before
    send(ana, BUDI, "2", "3", "4")
    put_back_numbers(backend, BUDI, first)
    if restarts:
        budi.confirm([])
        budi = reopen(budi, backend)
        assert shown(budi.receive()) == ["0", "1", "2", "3", "4"]
    else:
        assert shown(budi.receive()) == ["2", "3", "4"]
    assert backend.free(BUDI) == []


def test_what_a_back_end_that_was_put_back_still_has_is_read_and_not_shown_twice(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1")
    copy = list(backend._accounts[BUDI].mailbox)
    budi.confirm(budi.receive())
    backend._accounts[BUDI].mailbox[:] = copy  # it was acknowledged after the backup
    send(ana, BUDI, "2")
    put_back_numbers(backend, BUDI, copy[0][0])
    assert [text for text in shown(budi.receive()) if not text.startswith("!")] == ["2"]
    assert backend.free(BUDI) == []
