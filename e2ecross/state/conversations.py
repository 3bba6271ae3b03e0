# SPDX-License-Identifier: Apache-2.0
"""How it stands with the conversation with each account: a stranger's, accepted, blocked.

Rules:
- Who has no record is a stranger. A record is written when one writes, or the user decides.
- Each decision has a number, one above the last one that is known of; on all devices of the account
  the same one counts in the end, in whatever order they hear of them.
"""

import enum
from collections.abc import Iterator
from typing import Final

from e2ecross.address import UserId
from e2ecross.state.accounts import user_from_key, user_key
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.conversation_records import ConversationRecord

__all__ = [
    "ContactState",
    "find_conversation",
    "is_blocked",
    "put_conversation",
    "walk_all_conversations",
    "walk_conversations",
]

_STRANGER: Final = ConversationRecord()
_CONVERSATION: Final = Codec(ConversationRecord.encode, ConversationRecord.decode)


class ContactState(enum.IntEnum):
    """What the user thinks of an account; the value is at rest."""

    STRANGER = 0
    ACCEPTED = 1
    BLOCKED = 2


def find_conversation(tx: Transaction, user: UserId) -> ConversationRecord:
    """Return how it stands with an account."""
    found = tx.get_value(Table.CONVERSATIONS, user_key(user), b"", _CONVERSATION)
    return _STRANGER if found is None else found


def is_blocked(tx: Transaction, user: UserId) -> bool:
    """Tell whether the user has blocked an account."""
    return find_conversation(tx, user).state == ContactState.BLOCKED


def put_conversation(tx: Transaction, user: UserId, record: ConversationRecord) -> None:
    """Write how it stands with an account."""
    tx.put_value(Table.CONVERSATIONS, user_key(user), b"", record, _CONVERSATION)


def walk_all_conversations(tx: Transaction) -> Iterator[tuple[UserId, ConversationRecord]]:
    """Walk over those of all stripes; in a transaction of the whole store."""
    for stripe, place, _, _ in tx.scan_all(Table.CONVERSATIONS):
        user = user_from_key(place)
        yield user, find_conversation(tx.at(stripe), user)


def walk_conversations(tx: Transaction) -> Iterator[tuple[UserId, ConversationRecord]]:
    """Walk over all accounts of a stripe with a record, in an order of the store's own."""
    for place in tx.partitions(Table.CONVERSATIONS):
        user = user_from_key(place)
        yield user, find_conversation(tx, user)
