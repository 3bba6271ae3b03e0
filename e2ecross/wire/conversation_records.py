# SPDX-License-Identifier: Apache-2.0
"""Records of conversations: how it stands with an account, and receipts.

Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.errors import RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.record_encoding import check_lengths, decode_record, encode_record

__all__ = ["ConversationRecord", "decode_receipt", "encode_receipt"]

_MAX_STATE: Final = 2
_GROUP_ID_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """How it stands with the conversation with an account.

    Attributes:
        state: 0 stranger, 1 accepted, 2 blocked.
        waiting: messages of a stranger that were handed over.
        no_receipts: the user wants none to go there.
        no_typing: the user does not want it to be told of typing.
        number: of the user's last decision, counted over all devices of the own account.
    """

    state: int = 0
    waiting: int = 0
    no_receipts: bool = False
    no_typing: bool = False
    number: int = 0

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.ConversationRecord(
                state=self.state,
                waiting=self.waiting,
                no_receipts=self.no_receipts,
                no_typing=self.no_typing,
                number=self.number,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "ConversationRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a conversation record"
        fields = decode_record(storage_pb2.ConversationRecord, data, what)
        if fields.state > _MAX_STATE or (fields.state and fields.waiting):
            raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
        return cls(
            *(fields.state, fields.waiting, fields.no_receipts, fields.no_typing, fields.number)
        )


def encode_receipt(group_id: bytes = b"") -> bytes:
    """Return the record of a receipt for a message to a group (32 bytes), or between two."""
    return encode_record(storage_pb2.ReceiptRecord(group_id=group_id))


def decode_receipt(data: bytes) -> bytes:
    """Return to which group (32 bytes) the message was sent that a receipt is for, or nothing.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "a record of a receipt"
    fields = decode_record(storage_pb2.ReceiptRecord, data, what)
    if fields.group_id:
        check_lengths(what, (fields.group_id, _GROUP_ID_BYTES))
    return fields.group_id
