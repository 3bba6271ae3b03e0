# SPDX-License-Identifier: Apache-2.0
"""Ids of messages that were sent: for which content, and which devices have a copy.

Rules:
- Ids are known for longer than any receiver remembers them: an id that is used again for another
  text would be dropped there as a second copy. Of the text 2 bytes of a hash are kept, enough to
  notice that, and no help to a thief who guesses texts.
- A message is given up with the last of its copies for the account with whom the conversation is,
  whatever else is kept of it.
- An id belongs to its conversation: many messages can have one (`Client.send_many`). Copies for
  other own devices, which get them all, go under it for one of them alone.
- No id is of a message in a conversation and of one into a group: whoever gets both would be shown
  the first alone.
- The id of a message that was given up after it had left is not taken again: the back end knows it,
  and would drop another envelope under it.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from e2ecross.address import Address
from e2ecross.errors import InvalidArgument
from e2ecross.state.context import address_key
from e2ecross.state.shelf import Shelf
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.content import AnyContent, EncodedContent, encode_content
from e2ecross.wire.shelf_records import SENT_DIGEST_BYTES, SentIdRecord

__all__ = [
    "IDS",
    "IN_GROUPS",
    "OWN_COPIES",
    "SENT_IDS",
    "claim_own_copies",
    "find_copies",
    "find_own_copies_id",
    "forget_id",
    "is_known_id",
    "is_taken_id",
    "keep_id",
    "note_copies",
    "tend_ids",
    "was_sent",
]

_DAY_MS: Final = 24 * 60 * 60 * 1000
SENT_IDS: Final = b"id"
"""What the partitions of ids begin with."""
IDS: Final = Shelf(Table.SENT, 60 * _DAY_MS, 1_000_000, SENT_IDS)
"""60 days: receivers remember what they were shown for 45, and a quarter longer at most; a message
every five seconds for all of the time, at about 1.2 KiB each in a file."""
_GIVEN_UP: Final = b"given up"
"""Behind the row of an id."""
IN_GROUPS: Final = b"\1"
"""Likewise: it is the id of a message into a group."""
OWN_COPIES: Final = b"\0"
"""Before an id, in the place of an address: of which message the copies for own devices are."""


def keep_id(
    tx: Transaction,
    conversation: Address,
    message_id: bytes,
    content: AnyContent | EncodedContent,
    copies: Iterable[Address],
    own_copies_id: bytes,
    now_ms: int,
) -> None:
    """Keep the id (16 bytes) of a message that has just been encrypted for the first time.

    Args:
        tx: the operation's transaction.
        conversation: with whom: device 1, which stands for its account; or, without a list of
            devices, the one that was named.
        message_id: of the message.
        content: what was sent.
        copies: devices that it was encrypted for, of whatever account.
        own_copies_id: under which copies for other own devices go, 16 bytes.
        now_ms: milliseconds since 1970.
    """
    other_id = b"" if own_copies_id == message_id else own_copies_id
    record = SentIdRecord(_digest(content), _numbers(conversation, copies), other_id)
    IDS.add(tx, _row(conversation, message_id), record.encode(), now_ms)


def was_sent(
    tx: Transaction,
    conversation: Address,
    message_id: bytes,
    content: AnyContent | EncodedContent,
    now_ms: int,
) -> bool:
    """Tell whether content was sent, or promised, in a conversation under this id (16 bytes).

    Raises:
        InvalidArgument: the id was used for other content, or for what was given up after it had
            left, or for a message into a group.
    """
    found = IDS.find(tx, _row(conversation, message_id), now_ms)
    if found is None:
        if IDS.find(tx, IN_GROUPS + message_id, now_ms) is not None:
            raise InvalidArgument("message_id must be a new one: a message into a group has it")
        if IDS.find(tx, _row(conversation, message_id) + _GIVEN_UP, now_ms) is not None:
            raise InvalidArgument(
                f"message_id must be a new one: a message to {conversation} has left under it, and "
                f"was not delivered"
            )
        return False
    if SentIdRecord.decode(found.record).digest != _digest(content):
        raise InvalidArgument(
            f"message_id was used for another message to {conversation}: take a new one"
        )
    return True


def is_known_id(tx: Transaction, conversation: Address, message_id: bytes, now_ms: int) -> bool:
    """Tell whether a message was sent, or promised, in a conversation under this id (16 bytes)."""
    return IDS.find(tx, _row(conversation, message_id), now_ms) is not None


def is_taken_id(
    tx: Transaction, conversations: Iterable[Address], message_id: bytes, now_ms: int
) -> bool:
    """Tell whether something went under an id (16 bytes) in conversations, or to own devices."""
    rows = [_row(each, message_id) for each in conversations]
    rows += [OWN_COPIES + message_id, *(row + _GIVEN_UP for row in rows)]
    return any(IDS.find(tx, row, now_ms) is not None for row in rows)


def find_copies(
    tx: Transaction, conversation: Address, message_id: bytes, now_ms: int
) -> frozenset[int] | None:
    """Return which devices of the account with whom a conversation is have a copy of a message.

    That is: one was promised, and was not given up. None: the id (16 bytes) is not known.
    """
    found = IDS.find(tx, _row(conversation, message_id), now_ms)
    return None if found is None else frozenset(SentIdRecord.decode(found.record).devices)


def claim_own_copies(
    tx: Transaction, conversation: Address, message_id: bytes, now_ms: int
) -> bool:
    """Let copies for other own devices go under the id (16 bytes) of a message.

    Returns:
        Whether they may: those of no message to others do.
    """
    row, holder = OWN_COPIES + message_id, address_key(conversation)
    found = IDS.find(tx, row, now_ms)
    if found is None:
        IDS.add(tx, row, holder, now_ms)
    return found is None or found.record == holder


def find_own_copies_id(
    tx: Transaction, conversation: Address, message_id: bytes, now_ms: int
) -> bytes:
    """Return under which id copies of a message (16 bytes of id) for other own devices went."""
    found = IDS.find(tx, _row(conversation, message_id), now_ms)
    other_id = b"" if found is None else SentIdRecord.decode(found.record).own_copies_id
    return other_id or message_id


def note_copies(
    tx: Transaction,
    conversation: Address,
    message_id: bytes,
    now_ms: int,
    *,
    added: Iterable[Address] = (),
    given_up: Collection[int] = (),
) -> None:
    """Note that a message (16 bytes of id), if it is known, has more copies, or fewer.

    Args:
        tx: the operation's transaction.
        conversation: see `keep_id`.
        message_id: of the message.
        now_ms: milliseconds since 1970.
        added: devices that it was encrypted for, of whatever account.
        given_up: numbers of devices of the account that do not get it.
    """
    row = _row(conversation, message_id)
    found = IDS.find(tx, row, now_ms)
    if found is not None:
        record = SentIdRecord.decode(found.record)
        devices = {*record.devices, *_numbers(conversation, added)}.difference(given_up)
        IDS.replace(tx, found, row, replace(record, devices=tuple(sorted(devices))).encode())


def forget_id(
    tx: Transaction,
    conversation: Address,
    message_id: bytes,
    now_ms: int,
    *,
    has_left: bool = False,
) -> None:
    """Forget the id (16 bytes) of a message, because all its copies were given up.

    Args:
        tx: of the operation that gives it up.
        conversation: see `keep_id`.
        message_id: of the message.
        now_ms: milliseconds since 1970.
        has_left: whether the back end may know the id.
    """
    row = _row(conversation, message_id)
    found = IDS.find(tx, row, now_ms)
    if found is not None:
        IDS.remove(tx, row, now_ms)
        if has_left:
            IDS.add(tx, row + _GIVEN_UP, found.record, now_ms)


def tend_ids(tx: Transaction, now_ms: int) -> None:
    """See `Shelf.tend`."""
    IDS.tend(tx, now_ms)


def _digest(content: AnyContent | EncodedContent) -> bytes:
    kind, body = encode_content(content)
    return hashlib.sha256(kind.to_bytes(4) + body).digest()[:SENT_DIGEST_BYTES]


def _numbers(conversation: Address, devices: Iterable[Address]) -> tuple[int, ...]:
    user = conversation.user_id
    return tuple(sorted(each.device for each in devices if each.user_id == user))


def _row(conversation: Address, message_id: bytes) -> bytes:
    return address_key(conversation) + message_id
