# SPDX-License-Identifier: Apache-2.0
"""What a back end says of deposits for groups, and what it can make a client do by that."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from e2ecross import Address, Envelope, Text, UserId
from e2ecross.device import group_sealing
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    MailboxFull,
    RestoredStore,
    UnknownRecipient,
)
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys
from tests.client.circle import ANA, BUDI, CITRA, DEWI, Circle
from tests.support.devices import BackendSimulator, FakeClock

STRANGER = UserId.parse("x:nobody")


class Lying(BackendSimulator):
    """Says of lists what it likes, and refuses calls as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.seqs: dict[UserId, int] = {}
        self.ahead: dict[int, int] = {}
        self.asked: list[UserId] = []
        self.copies: list[EnvelopeCopies] = []
        self.grants: list[int] = []
        self.poison: Address | None = None
        self.spares_messages = False
        self.error: Exception = DecodeError("what is that?")

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        self.asked += [each.user for each in wanted]
        return super().fetch_keys(requester, token, wanted)

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        self.grants.append(len(envelopes))
        if self.poison in [Envelope.decode(each).recipient for each in envelopes]:
            raise self.error
        return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)

    def deposit_copies(
        self, token: bytes, copies: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> Deposited:
        decoded = EnvelopeCopies.decode(copies)
        self.copies.append(decoded)
        if self.poison in decoded.recipients and not self.spares_messages:
            raise self.error
        answer = super().deposit_copies(token, copies, epochs=epochs)
        return replace(
            answer, seqs={**answer.seqs, **self.seqs}, epochs={**answer.epochs, **self.ahead}
        )


class Trip:
    """A group of Ana, Budi and Citra at such a back end."""

    def __init__(self, clock: FakeClock) -> None:
        self.backend = Lying()
        self.circle = Circle(self.backend, clock)
        self.ana, self.budi, self.citra, self.dewi = self.circle.join(ANA, BUDI, CITRA, DEWI)
        self.group = self.circle.found(self.ana, self.budi, self.citra)
        self.backend.asked.clear()
        self.backend.copies.clear()
        self.backend.grants.clear()

    def send(self, text: str = "halo") -> dict[str, str]:
        sent = self.group.send(Text(text))
        return {str(each.address.user_id): each.problem for each in sent.deliveries}


@pytest.fixture
def trip(clock: FakeClock) -> Trip:
    return Trip(clock)


def test_more_devices_than_one_call_takes_go_in_several(
    trip: Trip, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip.group.add(DEWI)
    trip.circle.settle()
    trip.circle.forget()
    trip.backend.copies.clear()
    monkeypatch.setattr(group_sealing, "MAX_COPIES", 2)
    assert trip.send() == {BUDI: "", CITRA: "", DEWI: ""}
    first, second = trip.backend.copies
    assert (first.message_id, first.ciphertext) == (second.message_id, second.ciphertext)
    assert (len(first.recipients), len(second.recipients)) == (2, 1)
    trip.circle.settle()
    for client in (trip.budi, trip.citra, trip.dewi):
        assert trip.circle.said(client) == [f"{ANA}: halo"]


@pytest.mark.parametrize("error", [DecodeError("?"), BackendRefused("no"), MailboxFull("full")])
def test_a_message_that_is_refused_as_a_whole_is_given_up(trip: Trip, error: Exception) -> None:
    trip.backend.poison, trip.backend.error = trip.budi.device.address, error
    assert trip.send() == dict.fromkeys((BUDI, CITRA), error.code)  # type: ignore[attr-defined]
    assert trip.ana.pending() == []
    trip.backend.poison = None
    assert trip.send("next") == {BUDI: "", CITRA: ""}
    trip.circle.settle()
    assert trip.circle.said(trip.citra) == [f"{ANA}: next"]


def test_one_grant_that_is_refused_spoils_no_other(trip: Trip) -> None:
    trip.group.add(DEWI)
    trip.circle.settle()
    trip.group.remove(DEWI)  # the next message needs a new key for two
    trip.circle.settle()
    trip.circle.forget()
    trip.backend.poison, trip.backend.spares_messages = trip.budi.device.address, True
    trip.send()
    trip.backend.poison = None
    trip.circle.settle(trip.citra)
    assert trip.circle.said(trip.citra) == [f"{ANA}: halo"]
    trip.circle.settle()  # he had a message without the key, and has asked for it
    assert trip.circle.said(trip.budi) == ["!unknown_sender_key", f"{ANA}: halo"]
    assert trip.send("next") == {BUDI: "", CITRA: ""}
    trip.circle.settle()
    assert trip.circle.said(trip.budi) == [f"{ANA}: next"]


def test_what_is_said_of_lists_costs_one_question(trip: Trip, clock: FakeClock) -> None:
    trip.backend.seqs = {trip.budi.device.address.user_id: 99}
    for _ in range(3):
        assert trip.send() == {BUDI: "", CITRA: ""}
    assert trip.backend.asked == [UserId.parse(BUDI)]
    trip.circle.settle()
    assert len(trip.circle.said(trip.budi)) == 3


def test_strangers_are_not_asked_for_because_a_back_end_names_them(trip: Trip) -> None:
    trip.backend.seqs = {STRANGER: 99, trip.dewi.device.address.user_id: 5}
    trip.send()
    assert trip.backend.asked == []


def test_a_store_that_the_back_end_has_seen_further_ahead_is_told(trip: Trip) -> None:
    trip.backend.ahead = {0: 10**9}
    trip.send()
    with pytest.raises(RestoredStore):
        trip.send("lagi")
    assert len(trip.backend.copies) == 1


def test_nothing_is_deposited_twice_where_all_goes_well(trip: Trip) -> None:
    for _ in range(3):
        trip.send()
    trip.ana.maintain()
    assert len(trip.backend.copies) == 3
    assert trip.backend.grants == []


def test_a_back_end_out_of_reach_is_not_asked_for_long(trip: Trip) -> None:
    trip.backend.poison, trip.backend.error = trip.budi.device.address, BackendError("down")
    with pytest.raises(BackendError):
        trip.send()
    assert len(trip.backend.copies) == 1
