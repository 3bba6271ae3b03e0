# SPDX-License-Identifier: Apache-2.0
"""What the back end of the page does to accounts, groups, stores and keys; what comes of it."""

import contextlib
import shutil
from functools import partial
from typing import Final

from e2ecross.address import UserId
from e2ecross.crypto.keys import decode_public_key
from e2ecross.demo.ghost import GhostDevice
from e2ecross.demo.people import ANA, BUDI, TOKO, DemoFailed
from e2ecross.demo.web.cast import CITRA, NAMES, PHONES
from e2ecross.demo.web.hands import Hands
from e2ecross.demo.web.outcome import (
    COMPARING,
    NOT_NOTICED,
    NOTICED,
    REFUSED,
    Outcome,
    name_of,
    shows,
    warns,
)
from e2ecross.demo.web.phones import Phone, PhoneRefused
from e2ecross.demo.web.play import Written
from e2ecross.demo.web.swapping import Swap
from e2ecross.errors import RestoredStore
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.group import GroupId, MemberId

__all__ = ["add_device", "add_member", "restore", "swap_keys"]

_GHOST_NUMBER: Final = 3
_GROUP_TITLE: Final = "Saturday at the blue door"
_READERS: Final = ("budi", "ana", "toko")
"""Whose phone is told of a change of a group, the first of them that has it from somebody else."""


def add_device(hands: Hands) -> Outcome:
    """Give Ana a third device: all that an operator can do for it."""
    file, budi = hands.file, hands.play.phone("budi")
    genuine, ghost = file.signed_list(ANA.user), GhostDevice(ANA, _GHOST_NUMBER)
    address = str(ghost.address)
    did = (
        f"It gave Ana a third device, {address}, with keys of its own, and hands out a list "
        "of her devices that has it."
    )
    forged = ghost.forge_list(genuine)
    file.put_list(forged)
    try:
        try:
            _, devices = hands.play.send("budi", ANA.user, "The door code is 4711.")
        except PhoneRefused as error:
            came = f"Budi's phone sent nothing any more ({error.code}): {error}."
            return Outcome(did, came, NOTICED)
        believed = budi.ask("show_devices", of=ANA.user)["devices"]
    finally:
        file.put_list(genuine)
    if address in devices or address in believed:
        came = f"Budi's phone believes in it: it wrote to {', '.join(devices)}."
        return Outcome(did, came, NOT_NOTICED)
    if not hands.play.relay.has_handed_out(BUDI.user, forged.encode()):
        if not hands.was_list_refused:
            came = "Budi wrote to Ana, and his phone did not even ask for the list."
            return Outcome(did, came, NOT_NOTICED)
        came = (
            "Budi's phone has refused such a list before, and asks for none again for a while: it "
            f"encrypted for {' and '.join(devices)} alone, by the list that Ana's phone has signed."
        )
        return Outcome(did, came, REFUSED)
    hands.was_list_refused = True
    came = (
        "Budi's phone got that list when he wrote to Ana, and encrypted for "
        f"{' and '.join(devices)} alone: Ana's phone has not signed the list, and nobody else can."
    )
    return Outcome(did, came, REFUSED)


def add_member(hands: Hands) -> Outcome:
    """Put a member of its own into the newest group."""
    play = hands.play
    did, group, reader = _last_group(hands)
    owner = PHONES[group.phone]
    ghost = hands.ghost()
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
    hands.put(reader, forged)
    message_id = Envelope.decode(forged).message_id.hex()
    found = hands.what_became(reader, message_id, after)
    members = play.phone(reader).ask("show_group", chat=group.chat)["members"]
    _, devices = play.send(reader, group.chat, "Is anybody else coming with us?")
    did += (
        f"It put a member of its own into the group, {ghost.address.user_id}, in the name of "
        f"{owner.name}; suppose that somebody has told it what only members know."
    )
    if address in devices or str(ghost.address.user_id) in members:
        came = f"{name_of(reader)}'s phone believes it, and wrote to {', '.join(devices)}."
        return Outcome(did, came, NOT_NOTICED)
    said = "" if found is None else f" ({found.get('code')})"
    names = ", ".join(NAMES.get(user, user) for user in members)
    came = (
        f"{name_of(reader)}'s phone did not take the change{said}: {owner.name} has not signed "
        f"it. The members are still {names}, and the next line went to nobody else."
    )
    return Outcome(did, came, REFUSED)


def restore(hands: Hands) -> Outcome:
    """Set Ana's phone back to an old copy of its store."""
    ana = hands.play.phone("ana")
    try:
        return _set_back(hands, ana)
    finally:  # it is switched on again, whatever has happened
        with contextlib.suppress(PhoneRefused, DemoFailed):
            ana.ask("open", restored=True)


def _set_back(hands: Hands, ana: Phone) -> Outcome:
    play, backup = hands.play, hands.play.folder / "backup.db"
    did = (
        "Ana's phone was set back to an old copy of its store, as a backup or a thief would; a "
        "back end alone cannot do that."
    )
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
        return Outcome(did, "Ana's phone used it as if nothing had happened.", NOT_NOTICED)
    if code != RestoredStore.code:
        return Outcome(did, f"Ana's phone does not open it ({code}).", REFUSED)
    ana.ask("open", restored=True)
    after = play.journal.last
    written, _ = play.send("ana", BUDI.user, "I am back, with new keys.")
    reached = hands.wait(after, partial(shows, "budi", written.id))
    came = (
        f"Ana's phone saw that the back end knows a newer state, and refused to use this one "
        f"({code}). Opened as restored it throws away every key that may have been used since; "
    )
    if reached is None:
        came += "but her next line did not reach Budi."
    else:
        came += "her next line reached Budi under new ones."
    limit = "A back end that lies about what it knows could have hidden this."
    return Outcome(did, f"{came} {limit}", NOTICED)


def swap_keys(hands: Hands) -> Outcome:
    """Sit between two who write to each other for the first time."""
    play = hands.play
    did = (
        "It gave Citra, a new customer, keys of its own in the place of the shop's, and the "
        "shop keys of its own in the place of hers: it sits in between."
    )
    play.add_citra()
    swap = Swap(play, hands)
    swap.start()
    hands.close_later(swap.close)
    after, text = play.journal.last, "Hello! Do you have Gayo beans, ground for a moka pot?"
    play.send("citra", TOKO.user, text)
    arrived = hands.wait(
        after,
        lambda event: (
            event["type"] == "message" and (event["phone"], event["from"]) == ("toko", CITRA.user)
        ),
    )
    for name in ("citra", "toko"):
        play.phone(name).ask("settle")
    warned = play.journal.wait_for(partial(warns, (CITRA.user, TOKO.user), ""), after, 0)
    if arrived is None and warned is None:
        return Outcome(did, "Citra's line did not reach the shop, and neither phone said why.")
    citra = play.phone("citra").ask("safety_number", of=TOKO.user)["digits"]
    toko = play.phone("toko").ask("safety_number", of=CITRA.user)["digits"]
    if warned is not None or citra == toko:
        said = "nothing" if warned is None else warned["text"]
        return Outcome(did, f"The shop's or Citra's phone said: {said}", NOTICED)
    read = swap.has_read(text)
    came = (
        f"The back end {'read the line' if read else 'did not read the line'}, and both phones "
        f"show it as usual. Only the safety numbers give it away: Citra sees {citra[:15]}…, "
        f"the shop {toko[:15]}…. Nobody notices who does not compare them."
    )
    return Outcome(did, came, COMPARING)


def _last_group(hands: Hands) -> tuple[str, Written, str]:
    """What had to be done for it, the newest group with who has made it, and another member."""
    play = hands.play
    for group in reversed(play.groups):
        members = play.phone(group.phone).ask("show_group", chat=group.chat)["members"]
        for reader in _READERS:
            if reader != group.phone and PHONES[reader].user in members:
                hands.wait_for_group(reader, group.chat)
                return "", group, reader
    group = play.create_group("ana", _GROUP_TITLE, [BUDI.user, TOKO.user])
    for reader in ("budi", "toko"):
        hands.wait_for_group(reader, group.chat)
    return "There was no group yet, so Ana made one first. ", group, "budi"
