# SPDX-License-Identifier: Apache-2.0
"""A message into a group for devices that are listed since it was encrypted.

Rules:
- They get the envelope that the others have. So they are given the key as it was before that
  message: the caller has it in memory, and nothing else keeps it.
- Nothing gets who does not obey what protects somebody.
- Whoever is in the group now and was at the heads of the message gets it, as for the first copies.

Source: docs/wire-format.md, groups.
"""

from dataclasses import replace

from e2ecross.device.group_granting import MAX_GRANTS, Granter
from e2ecross.device.group_planning import without_session
from e2ecross.device.group_posted import GroupPosted
from e2ecross.device.group_recipients import find_recipients, who_obeys
from e2ecross.device.group_standing import Audience, find_standing, present_at
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction, read_epoch
from e2ecross.state.group_keys import find_group_key
from e2ecross.state.group_outbox import (
    put_copies,
)
from e2ecross.wire.envelope import EnvelopeCopies

__all__ = ["post_missing"]


def post_missing(
    context: Context, leftovers: Leftovers, posted: GroupPosted, asked: KeysAsked
) -> GroupPosted | KeysNeeded | None:
    """Give a message also to devices that are listed since: the key as it was, and a copy.

    One transaction, at most 64 devices.

    Args:
        context: of the device.
        leftovers: are forgotten in the same commit.
        posted: a message that was just put into the outbox.
        asked: what was asked of the back end for it.

    Returns:
        The message with those devices among its recipients; or what is needed for that. None: no
        device lacks it.

    Raises:
        NotInGroup: the own account is not in the group any more.
        GroupRefused: nothing can be sent into the group any more.
    """
    key, destination = posted.key, posted.destination
    if key is None or destination is None or posted.message is None:
        return None
    with leftovers.going() as forget, WitnessedTransaction(context) as tx:
        forget(tx)
        now_ms, group = context.clock(), posted.outgoing.group
        standing = find_standing(context, tx, group, Audience.MEMBERS)
        present = present_at(context, tx, standing, destination.heads)
        found = find_recipients(context, tx, present, asked, now_ms)
        if found.needed is not None:
            return found.needed
        problems = {**posted.problems, **found.problems}
        new = [each for each in found.devices if each not in posted.recipients]
        new = who_obeys(context, tx, posted.message.content, new)
        wanted = without_session(tx, new, asked, problems)
        if wanted:
            return KeysNeeded({user: frozenset(each) for user, each in wanted.items()})
        new = sorted((each for each in new if each not in problems), key=str)[:MAX_GRANTS]
        if not new:
            return None
        now = find_group_key(tx, group)
        is_present = now is not None and now.key.chain_id == key.key.chain_id
        granter = Granter(context, tx, group, key, now_ms, is_noted=is_present)
        for device in new:
            granter.grant(device)
        copies = EnvelopeCopies(
            posted.outgoing.message_id, context.address, tuple(new), posted.ciphertext
        )
        number = put_copies(tx, group, copies)
        return replace(
            posted,
            numbers=(*posted.numbers, number),
            recipients=(*posted.recipients, *new),
            problems=problems,
            epoch=read_epoch(tx),
        )
