# SPDX-License-Identifier: Apache-2.0
"""The attacks of the page's back end: each is done for real, and what came of it is observed.

Rules:
- One at a time.
- What came of it is what the phones have shown or answered. Where that is not what the library
  promises, it is said like everything else.
"""

import itertools
import shutil
import sqlite3
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from e2ecross.address import UserId
from e2ecross.crypto.keys import decode_public_key
from e2ecross.demo.ghost import GhostAccount, GhostDevice
from e2ecross.demo.people import ANA, BUDI, TOKO, DemoFailed
from e2ecross.demo.web.cast import NAMES, PHONES, phone_of
from e2ecross.demo.web.hands import Hands, about, flip_bit, readdress
from e2ecross.demo.web.journal import Event
from e2ecross.demo.web.phones import PhoneRefused
from e2ecross.demo.web.play import Play, Written
from e2ecross.demo.web.swapping import Swap
from e2ecross.errors import E2ECrossError, RestoredStore
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.group import GroupId, MemberId

__all__ = ["Attacks"]

_REFUSED: Final = "refused"
_NOTICED: Final = "noticed"
_NOT_NOTICED: Final = "not noticed"
_COMPARING: Final = "only by comparing"
_ONCE: Final = "swap_keys"
"""A first contact is one once."""
_GHOST_NUMBER: Final = 3
_WATCHED_SECONDS: Final = 4.0
"""How long it is watched that nothing happens: a receipt would not take longer."""
_GROUP_TITLE: Final = "Saturday at the blue door"


class _Outcome(NamedTuple):
    """What the back end did, what came of it, and in a word."""

    did: str
    came: str
    verdict: str


class Attacks:
    """All attacks on a play; for several threads."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._hands = Hands(play)
        self._numbers = itertools.count(1)
        self._running = threading.Lock()
        self._ghost: GhostAccount | None = None
        self._swap: Swap | None = None

    def knows(self, name: str) -> bool:
        """Tell whether there is an attack of that name."""
        return name in _ATTACKS

    def begin(self, name: str) -> int:
        """Begin an attack; what comes of it is said as events with the number that is returned.

        Raises:
            DemoFailed: another one runs, or this one cannot be done any more.
        """
        if name == _ONCE and self._play.has("citra"):
            raise DemoFailed("the back end sits between Citra and the shop already")
        if not self._running.acquire(blocking=False):
            raise DemoFailed("the back end is busy with another attack")
        number = next(self._numbers)
        attack, plan = _ATTACKS[name]
        self._tell(number, name, _Outcome(plan, "", ""), "running")
        threading.Thread(target=self._run, args=(number, name, attack), daemon=True).start()
        return number

    def _run(self, number: int, name: str, attack: "_Attack") -> None:
        plan = _ATTACKS[name][1]
        try:
            outcome = attack(self)
        except (DemoFailed, PhoneRefused, E2ECrossError, sqlite3.Error, OSError) as error:
            outcome = _Outcome(plan, f"It could not be done: {error}.", "")
        finally:
            self._running.release()
        self._tell(number, name, outcome, "done")

    def _tell(self, number: int, name: str, outcome: _Outcome, state: str) -> None:
        told = {"type": "attack", "number": number, "name": name, **outcome._asdict()}
        self._play.journal.add({**told, "state": state})

    # --- Messages on their way ------------------------------------------------------------------

    def _flip(self) -> _Outcome:
        play, hands = self._play, self._hands
        writer, chat = self._last_writer()
        reader = phone_of(f"{chat}.1")
        after = play.journal.last
        text = "The back end flips one bit of this line on its way."
        written, genuine = hands.intercept(writer, chat, text, reader)
        hands.put(reader, flip_bit(genuine))
        first = hands.what_became(reader, written.id, after)
        did = f"It flipped one bit of a message from {_name(writer)} to {_name(reader)}."
        if first is None or first["type"] == "message":
            return _Outcome(did, _not_refused(reader, first), _NOT_NOTICED)
        hands.put(reader, genuine)
        shown = hands.wait(after, lambda event: _shows(event, reader, written.id))
        came = f"{_name(reader)}'s phone refused it ({first['code']})."
        if shown is None:
            came += " The genuine copy, which came then, was not shown either."
        else:
            came += " The genuine copy, which came then, opened as it was written."
        return _Outcome(did, came, _REFUSED)

    def _replay(self) -> _Outcome:
        written, reader, envelope = self._last_delivered()
        after = self._play.journal.last
        self._hands.put(reader, envelope)
        found = self._hands.what_became(reader, written.id, after)
        did = (
            f"It delivered the last message from {_name(written.phone)} to {_name(reader)} "
            "once more."
        )
        if found is None:
            came = f"{_name(reader)}'s phone knew it by its id, and showed nothing twice."
            return _Outcome(did, came, _REFUSED)
        if found["type"] == "message":
            return _Outcome(did, _not_refused(reader, found), _NOT_NOTICED)
        came = f"{_name(reader)}'s phone refused it ({found['code']}), and showed nothing twice."
        return _Outcome(did, came, _REFUSED)

    def _readdress(self) -> _Outcome:
        written, reader, envelope = self._last_delivered()
        users = {PHONES[written.phone].user, PHONES[reader].user}
        other = next(name for name in ("toko", "budi", "ana") if PHONES[name].user not in users)
        decoded = Envelope.decode(envelope)
        rewritten = readdress(envelope, PHONES[other])
        after = self._play.journal.last
        self._hands.put(other, rewritten)
        found = self._hands.what_became(other, decoded.message_id.hex(), after)
        did = (
            f"It put the message from {_name(written.phone)} to {_name(reader)} into the mailbox "
            f"of {_name(other)}, with that address on it."
        )
        if found is None or found["type"] == "message":
            return _Outcome(did, _not_refused(other, found), _NOT_NOTICED)
        return _Outcome(
            did,
            f"{_name(other)}'s phone could not read it, and refused it ({found['code']}).",
            _REFUSED,
        )

    def _hide(self) -> _Outcome:
        writer, chat = self._last_writer()
        reader = phone_of(f"{chat}.1")
        after = self._play.journal.last
        text = "The back end drops this line. Will anybody notice?"
        written, _ = self._hands.intercept(writer, chat, text, reader)
        did = f"It dropped a message from {_name(writer)} to {_name(reader)}."
        found = self._play.journal.wait_for(
            lambda event: _warns(event, (writer, reader)), after, _WATCHED_SECONDS
        )
        if found is not None:
            told = f"{_name(found['phone'])}'s phone said: {found['text']}"
            return _Outcome(did, told, _NOTICED)
        came = (
            f"Neither phone noticed. {_name(writer)}'s keeps saying that it was sent, and the "
            "receipt just never comes: who carries messages can always lose them."
        )
        if self._is_acknowledged(written, after):
            came = f"It reached {_name(reader)} all the same."
        return _Outcome(did, came, _NOT_NOTICED)

    def _is_acknowledged(self, written: Written, after: int) -> bool:
        return (
            self._play.journal.wait_for(
                lambda event: (
                    event["type"] == "status"
                    and (event["phone"], event["id"]) == (written.phone, written.id)
                    and event["status"] != "sent"
                ),
                after,
                0,
            )
            is not None
        )

    # --- Accounts and groups --------------------------------------------------------------------

    def _add_device(self) -> _Outcome:
        file, budi = self._hands.file, self._play.phone("budi")
        genuine, ghost = file.signed_list(ANA.user), GhostDevice(ANA, _GHOST_NUMBER)
        address = str(ghost.address)
        did = (
            f"It gave Ana a third device, {address}, with keys of its own, and hands out a list "
            "of her devices that has it."
        )
        file.put_list(ghost.forge_list(genuine))
        try:
            try:
                _, devices = self._play.send("budi", ANA.user, "The door code is 4711.")
            except PhoneRefused as error:
                came = f"Budi's phone sent nothing any more ({error.code}): {error}."
                return _Outcome(did, came, _NOTICED)
            believed = budi.ask("show_devices", of=ANA.user)["devices"]
        finally:
            file.put_list(genuine)
        if address in devices or address in believed:
            came = f"Budi's phone believes in it: it wrote to {', '.join(devices)}."
            return _Outcome(did, came, _NOT_NOTICED)
        came = (
            f"Budi wrote to Ana, and his phone encrypted for {' and '.join(devices)} alone: Ana's "
            "phone has not signed that list, and nobody else can."
        )
        return _Outcome(did, came, _REFUSED)

    def _add_member(self) -> _Outcome:
        play = self._play
        did, group = self._last_group()
        owner = PHONES[group.phone]
        reader = next(name for name in ("budi", "ana", "toko") if PHONES[name] is not owner)
        ghost = self._ghost_account()
        address = str(ghost.address)
        known = play.phone(group.phone).ask("give_away", chat=group.chat)
        member = MemberId(
            UserId.parse(owner.user), decode_public_key(bytes.fromhex(known["account_key"]))
        )
        forged = ghost.forge_addition(
            GroupId.parse(group.chat),
            [bytes.fromhex(head) for head in known["heads"]],
            member,
            PHONES[reader],
        )
        after = play.journal.last
        self._hands.put(reader, forged)
        message_id = Envelope.decode(forged).message_id.hex()
        found = self._hands.what_became(reader, message_id, after)
        members = play.phone(reader).ask("show_group", chat=group.chat)["members"]
        _, devices = play.send(reader, group.chat, "Is anybody else coming with us?")
        did += (
            f"It put a fourth member into the group, {ghost.address.user_id}, in the name of "
            f"{owner.name}; suppose that somebody has told it what only members know."
        )
        if address in devices or str(ghost.address.user_id) in members:
            came = f"{_name(reader)}'s phone believes it, and wrote to {', '.join(devices)}."
            return _Outcome(did, came, _NOT_NOTICED)
        said = "" if found is None else f" ({found.get('code')})"
        names = ", ".join(NAMES.get(user, user) for user in members)
        came = (
            f"{_name(reader)}'s phone did not take the change{said}: {owner.name} has not signed "
            f"it. The members are still {names}, and the next line went to nobody else."
        )
        return _Outcome(did, came, _REFUSED)

    def _restore(self) -> _Outcome:
        play, ana = self._play, self._play.phone("ana")
        backup = play.folder / "backup.db"
        did = "It set Ana's phone back to an old copy of its store, as a backup would."
        ana.ask("close")
        shutil.copyfile(ana.store, backup)
        ana.ask("open")
        play.send("ana", BUDI.user, "This line is newer than the backup.")
        ana.ask("close")
        for part in ana.store.parent.glob(f"{ana.store.name}-*"):
            part.unlink()
        shutil.copyfile(backup, ana.store)
        try:
            ana.ask("open")
        except PhoneRefused as error:
            code = error.code
        else:
            came = "Ana's phone used it as if nothing had happened."
            return _Outcome(did, came, _NOT_NOTICED)
        if code != RestoredStore.code:
            return _Outcome(did, f"Ana's phone does not open it ({code}).", _REFUSED)
        ana.ask("open", restored=True)
        after = play.journal.last
        written, _ = play.send("ana", BUDI.user, "I am back, with new keys.")
        reached = self._hands.wait(after, lambda event: _shows(event, "budi", written.id))
        came = (
            f"Ana's phone saw that the back end knows a newer state, and refused to use this one "
            f"({code}). Opened as restored it throws away every key that may have been used since"
        )
        if reached is None:
            came += "; but her next line did not reach Budi."
        else:
            came += "; her next line reached Budi under new ones."
        return _Outcome(did, came, _NOTICED)

    def _swap_keys(self) -> _Outcome:
        play = self._play
        did = (
            "It gave Citra, a new customer, keys of its own in the place of the shop's, and the "
            "shop keys of its own in the place of hers: it sits in between."
        )
        play.add_citra()
        swap = Swap(play, self._hands)
        swap.start()
        self._swap = swap
        after, text = play.journal.last, "Hello! Do you have Gayo beans, ground for a moka pot?"
        play.send("citra", TOKO.user, text)
        arrived = self._hands.wait(
            after,
            lambda event: (
                event["type"] == "message"
                and (event["phone"], event["from"]) == ("toko", PHONES["citra"].user)
            ),
        )
        if arrived is None:
            return _Outcome(did, "Citra's line did not reach the shop.", _REFUSED)
        warned = play.journal.wait_for(lambda event: _warns(event, ("citra", "toko")), after, 1.0)
        citra = play.phone("citra").ask("safety_number", of=TOKO.user)["digits"]
        toko = play.phone("toko").ask("safety_number", of=PHONES["citra"].user)["digits"]
        if warned is not None or citra == toko:
            said = "nothing" if warned is None else warned["text"]
            return _Outcome(did, f"The shop's or Citra's phone said: {said}", _NOTICED)
        read = swap.has_read(text)
        came = (
            f"The back end {'read the line' if read else 'did not read the line'}, and both phones "
            f"show it as usual. Only the safety numbers give it away: Citra sees {citra[:15]}…, "
            f"the shop {toko[:15]}…. Nobody notices who does not compare them."
        )
        return _Outcome(did, came, _COMPARING)

    # --- What there is to attack ----------------------------------------------------------------

    def _last_writer(self) -> tuple[str, str]:
        """Who was the last to write to one account, and to which; else Ana to Budi."""
        last = self._play.last_direct
        return (last.phone, last.chat) if last is not None else ("ana", BUDI.user)

    def _last_delivered(self) -> tuple[Written, str, bytes]:
        """Return the last message from one account to another, the phone, and its envelope.

        Where there is none, or it is not known any more, one is sent.

        Raises:
            DemoFailed: it does not arrive.
        """
        written = self._play.last_direct
        if written is not None:
            reader = phone_of(f"{written.chat}.1")
            envelope = self._play.relay.find(written.id, PHONES[reader].address)
            if envelope is not None and self._arrived(reader, written.id):
                return written, reader, envelope
        written, _ = self._play.send("ana", BUDI.user, "See you on Saturday?")
        if not self._arrived("budi", written.id):
            raise DemoFailed("the message that was to be attacked has not arrived")
        return written, "budi", self._hands.copy_of(written, BUDI)

    def _arrived(self, reader: str, message_id: str) -> bool:
        return self._hands.wait(0, lambda event: _shows(event, reader, message_id)) is not None

    def _last_group(self) -> tuple[str, Written]:
        """What had to be done for it, and the newest group with who has made it."""
        play = self._play
        if play.groups:
            return "", play.groups[-1]
        group = play.create_group("ana", _GROUP_TITLE, [BUDI.user, TOKO.user])
        for name in ("budi", "toko"):
            if self._hands.wait(0, partial(_has, name, group.chat)) is None:
                raise DemoFailed("the group that was to be attacked was not made")
        return "There was no group yet, so Ana made one first. ", group

    def _ghost_account(self) -> GhostAccount:
        if self._ghost is None:
            self._ghost = GhostAccount(self._play.relay.file).__enter__()
        return self._ghost

    def close(self) -> None:
        """Close what attacks have opened."""
        if self._ghost is not None:
            self._ghost.__exit__(None, None, None)
        if self._swap is not None:
            self._swap.close()


_Attack = Callable[[Attacks], _Outcome]
_ATTACKS: Final[Mapping[str, tuple[_Attack, str]]] = {
    "flip": (Attacks._flip, "It flips one bit of a message on its way."),
    "replay": (Attacks._replay, "It delivers the last message once more."),
    "readdress": (Attacks._readdress, "It puts a message for one into the mailbox of another."),
    "add_device": (Attacks._add_device, "It gives Ana a third device."),
    "add_member": (Attacks._add_member, "It puts a fourth member into the group."),
    "hide": (Attacks._hide, "It drops a message."),
    "restore": (Attacks._restore, "It sets Ana's phone back to an old copy of its store."),
    "swap_keys": (Attacks._swap_keys, "It swaps the keys of a first contact, both ways."),
}
"""By what the page calls them, and what each is about."""


def _name(phone: str) -> str:
    return PHONES[phone].name


def _shows(event: Event, phone: str, message_id: str) -> bool:
    return event["type"] == "message" and about(phone, message_id)(event)


def _has(phone: str, chat: str, event: Event) -> bool:
    return event["type"] == "chat" and (event["phone"], event["chat"]) == (phone, chat)


def _warns(event: Event, phones: tuple[str, ...]) -> bool:
    return event["type"] == "notice" and event["alarm"] and event["phone"] in phones


def _not_refused(phone: str, found: Event | None) -> str:
    how = "said nothing of it" if found is None else f"showed it: “{found['text']}”"
    return f"{_name(phone)}'s phone {how}."
