# SPDX-License-Identifier: Apache-2.0
"""What the back end of the page does to messages on their way, and what comes of it."""

from functools import partial
from typing import Final

from e2ecross.demo.people import BUDI, DemoFailed
from e2ecross.demo.web.cast import NAMES, PHONES, phone_of
from e2ecross.demo.web.chats import TAKEN_TWICE
from e2ecross.demo.web.hands import Hands, flip_bit, write_address
from e2ecross.demo.web.outcome import (
    NOT_NOTICED,
    NOTICED,
    REFUSED,
    Outcome,
    name_of,
    not_refused,
    shows,
    warns,
)
from e2ecross.demo.web.play import Written
from e2ecross.wire.envelope import Envelope

__all__ = ["flip", "hide", "readdress", "replay"]

_WATCHED_SECONDS: Final = 4.0
"""How long it is watched that nothing happens: most receipts would not take longer."""


def flip(hands: Hands) -> Outcome:
    """Flip one bit of a message on its way; then bring the genuine one."""
    play = hands.play
    writer, chat = _last_writer(hands)
    reader = phone_of(f"{chat}.1")
    after = play.journal.last
    text = "The back end flips one bit of this line on its way."
    written, (genuine,) = hands.intercept(writer, chat, text, [reader])
    hands.put(reader, flip_bit(genuine))
    first = hands.what_became(reader, written.id, after)
    did = f"It flipped one bit of a message from {name_of(writer)} to {name_of(reader)}."
    if first is None or first["type"] == "message":
        return Outcome(did, not_refused(reader, first), NOT_NOTICED)
    hands.put(reader, genuine)
    shown = hands.wait(after, partial(shows, reader, written.id))
    came = f"{name_of(reader)}'s phone refused it ({first['code']})."
    if shown is None:
        came += " The genuine copy, which came then, was not shown either."
    else:
        came += " The genuine copy, which came then, opened as it was written."
    return Outcome(did, came, REFUSED)


def replay(hands: Hands) -> Outcome:
    """Deliver the last message once more."""
    written, reader, envelope = _last_delivered(hands)
    after = hands.play.journal.last
    hands.put(reader, envelope)
    found = hands.what_became(reader, written.id, after)
    did = (
        f"It delivered the last message from {name_of(written.phone)} to {name_of(reader)} "
        "once more."
    )
    if found is None:
        came = f"{name_of(reader)}'s phone threw it away, and showed nothing twice."
        return Outcome(did, came, REFUSED)
    if found["type"] == "message" or found["code"] == TAKEN_TWICE:
        return Outcome(did, not_refused(reader, found), NOT_NOTICED)
    came = f"{name_of(reader)}'s phone refused it ({found['code']}), and showed nothing twice."
    return Outcome(did, came, REFUSED)


def readdress(hands: Hands) -> Outcome:
    """Put the last message into the mailbox of somebody else, with that address on it."""
    written, reader, envelope = _last_delivered(hands)
    users = {PHONES[written.phone].user, PHONES[reader].user}
    other = next(name for name in ("toko", "budi", "ana") if PHONES[name].user not in users)
    decoded = Envelope.decode(envelope)
    rewritten = write_address(envelope, PHONES[other])
    after = hands.play.journal.last
    hands.put(other, rewritten)
    found = hands.what_became(other, decoded.message_id.hex(), after)
    did = (
        f"It put the message from {name_of(written.phone)} to {name_of(reader)} into the mailbox "
        f"of {name_of(other)}, with that address on it."
    )
    if found is None or found["type"] == "message":
        return Outcome(did, not_refused(other, found), NOT_NOTICED)
    return Outcome(
        did,
        f"{name_of(other)}'s phone could not read it, and refused it ({found['code']}).",
        REFUSED,
    )


def hide(hands: Hands) -> Outcome:
    """Drop a message."""
    writer, chat = _last_writer(hands)
    readers = [name for name, person in PHONES.items() if person.user == chat]
    before, after = hands.play.last_direct, hands.play.journal.last
    text = "The back end drops this line. Will anybody notice?"
    written, _ = hands.intercept(writer, chat, text, readers)
    hands.play.last_direct = before  # nobody has got that one
    did = f"It dropped a message from {name_of(writer)} to {NAMES[chat]}."
    found = hands.play.journal.wait_for(
        partial(warns, (PHONES[writer].user, chat), written.id), after, _WATCHED_SECONDS
    )
    if found is not None:
        told = f"{name_of(found['phone'])}'s phone said: {found['text']}"
        return Outcome(did, told, NOTICED)
    for reader in readers:
        if hands.play.journal.wait_for(partial(shows, reader, written.id), after, 0):
            raise DemoFailed(f"the line reached {name_of(reader)} all the same")
    came = (
        f"Nobody noticed. {name_of(writer)}'s phone keeps saying that it was sent, and the "
        "receipt just never comes: who carries messages can always lose them."
    )
    return Outcome(did, came, NOT_NOTICED)


def _last_writer(hands: Hands) -> tuple[str, str]:
    """Who was the last to write to one account, and to which; else Ana to Budi."""
    last = hands.play.last_direct
    return (last.phone, last.chat) if last is not None else ("ana", BUDI.user)


def _last_delivered(hands: Hands) -> tuple[Written, str, bytes]:
    """Return the last message from one account to another, the phone, and its envelope.

    Where there is none, or it is not known any more, one is sent.

    Raises:
        DemoFailed: it does not arrive.
    """
    written = hands.play.last_direct
    if written is not None:
        reader = phone_of(f"{written.chat}.1")
        envelope = hands.play.relay.find(written.id, PHONES[reader].address)
        if envelope is not None and _arrived(hands, reader, written.id):
            return written, reader, envelope
    written, _ = hands.play.send("ana", BUDI.user, "See you on Saturday?")
    if not _arrived(hands, "budi", written.id):
        raise DemoFailed("the message that was to be attacked has not arrived")
    return written, "budi", hands.copy_of(written, BUDI)


def _arrived(hands: Hands, reader: str, message_id: str) -> bool:
    return hands.wait(0, partial(shows, reader, message_id)) is not None
