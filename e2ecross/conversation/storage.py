# SPDX-License-Identifier: Apache-2.0
"""How a conversation is kept: slots become a record, and a record slots.

Rules:
- A record is read by joining what it holds, and is refused unless the same record comes of that: so
  it has one encoding, in order, and holds nothing that could not have come about.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from e2ecross.address import UserId
from e2ecross.conversation.fact import ACTS, Fact, is_post
from e2ecross.conversation.join import join, with_receipt
from e2ecross.conversation.slot import PostState, Slot, empty_slot, key_of
from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire.content import (
    Delete,
    Receipt,
    UnsupportedContent,
    decode_content,
    decode_inner,
    encode_content,
)
from e2ecross.wire.timeline_records import ActRecord, SlotRecord, TimelineRecord, nested_bytes

__all__ = ["decode_slots", "encode_slots", "slot_bytes"]

_UNSUPPORTED: Final = 4
"""The state, in a record, of a message that is there and not supported."""
_FIRST_ACT: Final = 4
_LAST_ACT: Final = 7
_RECEIPT_BYTES: Final = 7
"""What the record of a receipt takes beside its account as text."""


def slot_bytes(slot: Slot) -> int:
    """What a slot adds to an encoded conversation, bytes."""
    parts = [done.size for done in slot.acts.values()]
    parts += [len(account) + _RECEIPT_BYTES for account in slot.receipts]
    return nested_bytes([_record(slot, ()).size + nested_bytes(parts)])


def encode_slots(own: UserId, slots: Iterable[Slot]) -> bytes:
    """Return the one encoding of a conversation, whatever the order of its slots."""
    in_order = sorted(slots, key=lambda slot: slot.key)
    return TimelineRecord(own, tuple(_full_record(slot) for slot in in_order)).encode()


def decode_slots(data: bytes) -> tuple[UserId, tuple[Slot, ...]]:
    """Read a conversation.

    Returns:
        The account whose app keeps it, and what is known of its messages.

    Raises:
        InvalidArgument: not bytes.
        DecodeError: malformed, over 64 MiB or 50,000 slots, or not in its one encoding.
        UnsupportedVersion: of a later version.
    """
    record = TimelineRecord.decode(data)
    try:
        slots = {key_of(each.author, each.message_id): _slot(each) for each in record.slots}
    except InvalidArgument as error:
        raise DecodeError(f"a timeline is not acceptable: {error}") from error
    kept = tuple(slot for slot in slots.values() if not slot.is_empty)
    if encode_slots(record.own, kept) != data:
        raise DecodeError("a timeline is not in its one encoding")
    return record.own, kept


def _record(slot: Slot, acts: tuple[ActRecord, ...]) -> SlotRecord:
    """A slot's record without its receipts."""
    state, kind, body = int(slot.state), 0, b""
    if slot.content is not None:
        kind, body = encode_content(slot.content)
        if isinstance(slot.content, UnsupportedContent):
            state = _UNSUPPORTED
    return SlotRecord(
        *(slot.author, slot.key[1], state, slot.sent_at_ms, slot.digest, kind, body, acts)
    )


def _full_record(slot: Slot) -> SlotRecord:
    acts = tuple(slot.acts[place].record for place in sorted(slot.acts))
    receipts = tuple(slot.receipts[account] for account in sorted(slot.receipts))
    return replace(_record(slot, acts), receipts=receipts)


def _slot(record: SlotRecord) -> Slot:
    slot = empty_slot(record.author, record.message_id)
    if record.state == PostState.CONFLICTING:
        slot = replace(slot, state=PostState.CONFLICTING, sent_at_ms=record.sent_at_ms)
    elif record.state:
        slot = join(slot, _post(record))
    for act in record.acts:
        slot = join(slot, _act(slot, act))
    for account, what in record.receipts:
        if what > Receipt.READ:
            raise DecodeError(f"a timeline holds a receipt of kind {what}")
        slot = with_receipt(slot, account, what)
    return slot


def _post(record: SlotRecord) -> Fact:
    content: object = None
    if record.state == _UNSUPPORTED:
        content = UnsupportedContent(record.kind, record.body)
    elif record.kind:  # not the body: that of an empty text is empty, too
        content = decode_content(record.kind, record.body)
    if not record.digest or not (content is None or is_post(content)):
        raise DecodeError("a timeline holds what is no message that can be shown")
    return Fact(record.author, record.message_id, record.sent_at_ms, record.digest, content)


def _act(slot: Slot, record: ActRecord) -> Fact:
    if not _FIRST_ACT <= record.kind <= _LAST_ACT:
        raise DecodeError(f"a timeline holds an act of kind {record.kind}")
    act = decode_inner(record.kind, record.body)
    has_name = bool(record.message_id) and bool(record.digest)
    if not isinstance(act, ACTS) or has_name is isinstance(act, Delete):
        raise DecodeError("a timeline holds an act without an id, or a delete with one")
    if key_of(act.target.author, act.target.message_id) != slot.key:
        raise DecodeError("a timeline holds an act on another message than its slot is of")
    return Fact(
        *(record.author, record.message_id, record.sent_at_ms, record.digest, act),
        moderator=record.moderator,
    )
