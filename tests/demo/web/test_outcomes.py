# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402 (what is missing is found out before what needs it is imported)
"""What is said of an attack is what the phones have shown, also where that is not as promised.

Phones and the back end's file are scripted here; real ones are attacked in test_attacks.py.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.service import require_extras

require_extras("segno")

from e2ecross.address import Address
from e2ecross.demo.people import ANA, BUDI, TOKO, DemoFailed, Person
from e2ecross.demo.web import attacks_on_accounts, attacks_on_mail
from e2ecross.demo.web.attacks import Attacks
from e2ecross.demo.web.cast import PHONES
from e2ecross.demo.web.chats import TAKEN_TWICE
from e2ecross.demo.web.hands import Hands
from e2ecross.demo.web.journal import Event, Journal
from e2ecross.demo.web.outcome import NOT_NOTICED, NOTICED, REFUSED, Outcome
from e2ecross.demo.web.phones import PhoneRefused
from e2ecross.demo.web.play import Play, Written
from e2ecross.wire.envelope import Envelope
from tests.relay.support import device_list, envelope

_ID = envelope(Address("whatsapp", "ana"), Address("instagram", "budi")).message_id.hex()
_SHOWN: Event = {"type": "message", "phone": "budi", "id": _ID, "text": "Halo", "from": ANA.user}
Answers = Mapping[str, Callable[[dict[str, object]], dict[str, Any]]]


def _note(phone: str, code: str, *, chat: str = ANA.user, about: str = _ID) -> Event:
    told = {"type": "notice", "phone": phone, "text": "Look out.", "alarm": True, "code": code}
    return {**told, "chat": chat, "id": about}


class _Phone:
    """Answers as it is told to; by default with nothing."""

    def __init__(self, folder: Path, answers: Answers) -> None:
        self.store = folder / "ana.db"
        self.store.write_bytes(b"")
        self._answers = answers
        self.asked: list[str] = []

    def ask(self, do: str, **direction: object) -> dict[str, Any]:
        self.asked.append(do)
        return self._answers[do](direction) if do in self._answers else {}


class _Relay:
    handed_out = True

    def find(self, message_id: str, recipient: str) -> bytes:
        return envelope(Address.parse(ANA.address), Address.parse(BUDI.address)).encode()

    def has_handed_out(self, user: str, signed: bytes) -> bool:
        return self.handed_out


class _Play:
    """Each message that is sent is followed by the events that are told."""

    def __init__(self, folder: Path, *events: Event, answers: Answers | None = None) -> None:
        self.folder = folder
        self.journal = Journal()
        self.relay = _Relay()
        self.last_direct: Written | None = None
        self.groups = [Written("ana", "group:" + "0" * 64, "")]
        self.devices = [ANA.address, PHONES["laptop"].address]
        self.events = events
        self.one = _Phone(folder, answers or {})

    def send(self, phone: str, chat: str, text: str) -> tuple[Written, list[str]]:
        for event in self.events:
            self.journal.add(event)
        self.last_direct = Written(phone, chat, _ID)
        return self.last_direct, self.devices

    def phone(self, name: str) -> _Phone:
        return self.one

    def add_citra(self) -> None:
        return


class _File:
    def signed_list(self, user: str) -> object:
        return device_list(Address("whatsapp", "ana"))

    def put_list(self, signed: object) -> None:
        return


class _Hands(Hands):
    """Takes hold of nothing."""

    def __init__(self, play: _Play, *found: Event | None) -> None:
        self.play = cast(Play, play)
        self.file = cast(Any, _File())
        self.was_list_refused = False
        self._found = iter(found)

    def intercept(
        self, phone: str, chat: str, text: str, readers: object
    ) -> tuple[Written, list[bytes]]:
        written, _ = self.play.send(phone, chat, text)
        return written, [self.copy_of(written, BUDI)]

    def put(self, reader: str, envelope: bytes) -> None:
        return

    def what_became(self, reader: str, message_id: str, after: int) -> Event | None:
        return next(self._found)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2ecross.demo.web.hands._SECONDS", 0.01)
    monkeypatch.setattr(attacks_on_mail, "_WATCHED_SECONDS", 0.01)
    monkeypatch.setattr(attacks_on_mail, "flip_bit", lambda data: data)


@pytest.mark.parametrize("found", [None, _SHOWN], ids=["silence", "shown"])
def test_a_flipped_bit_that_is_not_refused(tmp_path: Path, found: Event | None) -> None:
    outcome = attacks_on_mail.flip(_Hands(_Play(tmp_path), found))
    assert outcome.verdict == NOT_NOTICED
    assert ("Halo" in outcome.came) is (found is not None)


def test_a_genuine_copy_that_does_not_open(tmp_path: Path) -> None:
    outcome = attacks_on_mail.flip(_Hands(_Play(tmp_path), _note("budi", "decode_error")))
    assert outcome.verdict == REFUSED
    assert "decode_error" in outcome.came
    assert "was not shown either" in outcome.came


@pytest.mark.parametrize(
    ("found", "verdict"),
    [(None, REFUSED), (_SHOWN, NOT_NOTICED), (_note("budi", TAKEN_TWICE), NOT_NOTICED)],
    ids=["silence", "shown", "taken twice"],
)
def test_a_message_that_comes_again(tmp_path: Path, found: Event | None, verdict: str) -> None:
    assert attacks_on_mail.replay(_Hands(_Play(tmp_path, _SHOWN), found)).verdict == verdict


def test_what_has_not_arrived_does_not_come_again(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match="has not arrived"):
        attacks_on_mail.replay(_Hands(_Play(tmp_path)))


@pytest.mark.parametrize("found", [None, {**_SHOWN, "phone": "toko"}], ids=["silence", "shown"])
def test_a_message_for_somebody_else(tmp_path: Path, found: Event | None) -> None:
    outcome = attacks_on_mail.readdress(_Hands(_Play(tmp_path, _SHOWN), found))
    assert outcome.verdict == NOT_NOTICED


def test_a_hidden_message_that_is_noticed(tmp_path: Path) -> None:
    outcome = attacks_on_mail.hide(_Hands(_Play(tmp_path, _note("budi", "gap"))))
    assert outcome.verdict == NOTICED
    assert "Look out." in outcome.came


@pytest.mark.parametrize(
    "other",
    [
        _note("budi", "decode_error", about="00" * 16),
        _note("ana", "restored", chat=TOKO.user, about=""),
        {**_note("ana", "restored", about=""), "chat": None},
        _note("toko", "identity_pending", about=""),
        {**_note("budi", "device_linked", about=""), "alarm": False},
    ],
    ids=["another message", "another chat", "no chat", "another phone", "no warning"],
)
def test_what_is_about_something_else_notices_nothing(tmp_path: Path, other: Event) -> None:
    assert attacks_on_mail.hide(_Hands(_Play(tmp_path, other))).verdict == NOT_NOTICED


def test_a_hidden_message_that_arrives(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match="all the same"):
        attacks_on_mail.hide(_Hands(_Play(tmp_path, _SHOWN)))


# --- Accounts and groups ------------------------------------------------------------------------


def _add_device(play: _Play) -> Outcome:
    return attacks_on_accounts.add_device(_Hands(play))


def test_a_device_that_is_believed_in(tmp_path: Path) -> None:
    answers: Answers = {"show_devices": lambda _: {"devices": [ANA.address]}}
    play = _Play(tmp_path, answers=answers)
    assert _add_device(play).verdict == REFUSED
    play.relay.handed_out = False
    assert "did not even ask" in _add_device(play).came
    assert _add_device(play).verdict == NOT_NOTICED
    play.devices = ["whatsapp:ana.1", "whatsapp:ana.3"]
    assert _add_device(play).verdict == NOT_NOTICED
    play.devices = []
    answers = {"show_devices": lambda _: {"devices": ["whatsapp:ana.3"]}}
    assert _add_device(_Play(tmp_path, answers=answers)).verdict == NOT_NOTICED


def test_a_device_that_was_refused_before(tmp_path: Path) -> None:
    answers: Answers = {"show_devices": lambda _: {"devices": [ANA.address]}}
    play = _Play(tmp_path, answers=answers)
    hands = _Hands(play)
    assert attacks_on_accounts.add_device(hands).verdict == REFUSED
    play.relay.handed_out = False  # the phone asks for no other list so soon
    outcome = attacks_on_accounts.add_device(hands)
    assert (outcome.verdict, "refused such a list before" in outcome.came) == (REFUSED, True)
    play.devices = ["whatsapp:ana.1", "whatsapp:ana.3"]
    assert attacks_on_accounts.add_device(hands).verdict == NOT_NOTICED


def test_a_device_for_which_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PhoneRefused("the list is not acceptable", "invalid_device_list")

    play = _Play(tmp_path)
    monkeypatch.setattr(play, "send", refuse)
    outcome = _add_device(play)
    assert outcome.verdict == NOTICED
    assert "invalid_device_list" in outcome.came


class _Ghost:
    address = Address("messenger", "somebody")

    def forge_addition(self, *_: object) -> bytes:
        return envelope(self.address, Address.parse(BUDI.address)).encode()


@pytest.mark.parametrize(
    ("members", "devices", "verdict"),
    [
        ([ANA.user, BUDI.user], [ANA.address], REFUSED),
        ([ANA.user, BUDI.user, "messenger:somebody"], [ANA.address], NOT_NOTICED),
        ([ANA.user, BUDI.user], [ANA.address, "messenger:somebody.1"], NOT_NOTICED),
    ],
)
def test_a_member_that_is_believed_in(
    tmp_path: Path, members: list[str], devices: list[str], verdict: str
) -> None:
    key = "05" + "09" + "00" * 31
    answers: Answers = {
        "give_away": lambda _: {"heads": ["00" * 32], "account_key": key},
        "show_group": lambda _: {"members": members},
    }
    play = _Play(tmp_path, answers=answers)
    play.devices = devices
    hands = _Hands(play, None)
    hands._ghost = cast(Any, _Ghost())
    outcome = attacks_on_accounts.add_member(hands)
    assert outcome.verdict == verdict


def _opening(*codes: str) -> Answers:
    """A phone that opens, or refuses with these codes, one after the other; empty: it opens."""
    left = iter(codes)

    def open_(direction: dict[str, object]) -> dict[str, Any]:
        code = next(left, "")
        if code:
            raise PhoneRefused("it does not open", code)
        return {}

    return {"open": open_}


@pytest.mark.parametrize(
    ("codes", "events", "verdict", "said"),
    [
        (["", ""], [_SHOWN], NOT_NOTICED, "as if nothing had happened"),
        (["", "store_corrupted"], [_SHOWN], REFUSED, "store_corrupted"),
        (["", "restored_store"], [_SHOWN], NOTICED, "reached Budi"),
        (["", "restored_store"], [], NOTICED, "did not reach"),
    ],
    ids=["used", "unreadable", "noticed", "noticed, then mute"],
)
def test_a_store_that_was_set_back(
    tmp_path: Path, codes: list[str], events: list[Event], verdict: str, said: str
) -> None:
    play = _Play(tmp_path, *events, answers=_opening(*codes))
    outcome = attacks_on_accounts.restore(_Hands(play))
    assert outcome.verdict == verdict
    assert said in outcome.came
    assert ("could have hidden this" in outcome.came) is (verdict == NOTICED)
    assert play.one.asked[-1] == "open"  # whatever has happened, it is on again


class _Swap:
    def __init__(self, play: object, hands: object) -> None:
        return

    def start(self) -> None:
        return

    def close(self) -> None:
        return

    def has_read(self, text: str) -> bool:
        return False


@contextmanager
def _swapped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, digits: Iterator[str], *events: Event
) -> Iterator[Outcome]:
    monkeypatch.setattr(attacks_on_accounts, "Swap", _Swap)
    answers: Answers = {"safety_number": lambda _: {"digits": next(digits)}}
    hands = _Hands(_Play(tmp_path, *events, answers=answers))
    monkeypatch.setattr(hands, "close_later", lambda close: None)
    yield attacks_on_accounts.swap_keys(hands)


def test_swapped_keys_that_are_noticed_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = {**_SHOWN, "phone": "toko", "from": PHONES["citra"].user}
    warned = _note("toko", "identity_changed", chat=PHONES["citra"].user, about="")
    with _swapped(monkeypatch, tmp_path, iter("12")) as outcome:
        assert (outcome.verdict, "did not reach" in outcome.came) == ("", True)
    with _swapped(monkeypatch, tmp_path, iter("12"), warned) as outcome:
        assert (outcome.verdict, "Look out." in outcome.came) == (NOTICED, True)
    with _swapped(monkeypatch, tmp_path, iter("12"), arrived, warned) as outcome:
        assert (outcome.verdict, "Look out." in outcome.came) == (NOTICED, True)
    with _swapped(monkeypatch, tmp_path, iter("11"), arrived) as outcome:
        assert outcome.verdict == NOTICED
    with _swapped(monkeypatch, tmp_path, iter("12"), arrived) as outcome:
        assert "did not read the line" in outcome.came


# --- An attack that cannot be done --------------------------------------------------------------


def _is_done(number: int, event: Event) -> bool:
    return (event["number"], event["state"]) == (number, "done")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            PhoneRefused("the back end cannot be reached", "backend_error"),
            "It could not be done: the back end cannot be reached.",
        ),
        (DemoFailed("the phone has ended"), "It could not be done: the phone has ended."),
        (OSError("the disk is full"), "It could not be done: the disk is full."),
        (KeyError("x"), "Something is wrong with the demo itself: KeyError."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_could_not_be_done_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    play = _Play(tmp_path)
    monkeypatch.setattr(play, "send", refuse)
    play.relay.file = play.relay.blob_folder = tmp_path / "relay.db"  # type: ignore[attr-defined]
    attacks = Attacks(cast(Play, play))
    for _ in range(2):  # nor does it stand in the way of the next
        number = attacks.begin("replay")
        done = play.journal.wait_for(partial(_is_done, number), 0, 10)
        assert done is not None
        assert (done["came"], done["verdict"]) == (said, "")
    attacks.close()


def test_persons_are_those_of_the_envelopes() -> None:
    """The scripted envelope is one from Ana to Budi, as the attacks take it to be."""
    decoded = Envelope.decode(_Relay().find(_ID, BUDI.address))
    people: tuple[Person, ...] = (ANA, BUDI)
    assert (str(decoded.sender), str(decoded.recipient)) == tuple(each.address for each in people)
    assert TOKO.address not in str(decoded)
