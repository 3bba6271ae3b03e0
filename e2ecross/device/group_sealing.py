# SPDX-License-Identifier: Apache-2.0
"""One encryption under the own key of a group, for all who have it.

Rules:
- The advanced key, and the copies in the outbox, are written in the transaction that encrypts.
- The relay takes 1,024 devices at once: of more there are several rows with one ciphertext.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Sequence
from typing import NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.secret import SecretTuple
from e2ecross.device.hints import hints_by
from e2ecross.protocol.sender_key import group_encrypt
from e2ecross.state.accounts import find_account
from e2ecross.state.context import Context
from e2ecross.state.epoch import count_operation
from e2ecross.state.group_keys import GroupKey, put_group_key
from e2ecross.state.group_outbox import (
    put_copies,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import (
    GroupPayload,
    PayloadContent,
    encode_group_payload,
)
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.group import GroupDestination
from e2ecross.wire.limits import MAX_COPIES, MAX_SENDER_KEY_MESSAGES

__all__ = ["Sealed", "seal_for"]


class _SealedFields(NamedTuple):
    key: GroupKey
    numbers: tuple[int, ...]
    ciphertext: bytes


class Sealed(SecretTuple, _SealedFields):
    """A message that was encrypted for some devices.

    Attributes:
        key: the own key as it is after the message.
        numbers: of its rows in the outbox of groups.
        ciphertext: one message under that key.
    """

    __slots__ = ()


def seal_for(
    context: Context,
    tx: Transaction,
    key: GroupKey,
    destination: GroupDestination,
    message_id: bytes,
    content: PayloadContent,
    recipients: Sequence[Address],
    sent_at_ms: int,
) -> Sealed:
    """Encrypt content once for devices that have the key, and put it into the outbox.

    Args:
        context: of the device.
        tx: the operation's transaction.
        key: of the group; the advanced one is written.
        destination: the group, and the heads that the message names.
        message_id: 16 bytes.
        content: what is said.
        recipients: one device or more, none of which is this one.
        sent_at_ms: milliseconds since 1970.

    Raises:
        SessionExhausted: the key has sent all that it may.
    """
    group = destination.group_id
    payload = GroupPayload(
        sender=context.address,
        destination=destination,
        message_id=message_id,
        registration_id=context.registration_id,
        sent_at_ms=sent_at_ms,
        content=content,
        hints=hints_by(find_account(tx, context.address.user_id), None),
    )
    after, ciphertext = group_encrypt(
        *(key.key, key.distribution_id, encode_group_payload(payload), context.entropy),
        MAX_SENDER_KEY_MESSAGES,
    )
    advanced = key.with_key(after)
    put_group_key(tx, group, advanced)
    count_operation(tx)
    listed = sorted(recipients, key=str)
    numbers = []
    for start in range(0, len(listed), MAX_COPIES):
        part = tuple(listed[start : start + MAX_COPIES])
        copies = EnvelopeCopies(message_id, context.address, part, ciphertext)
        numbers.append(put_copies(tx, group, copies))
    return Sealed(advanced, tuple(numbers), ciphertext)
