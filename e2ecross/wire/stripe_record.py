# SPDX-License-Identifier: Apache-2.0
"""The record of a stripe: what is counted in it. Public values only.

Source: docs/wire-format.md, records at rest.
"""

from itertools import pairwise
from typing import Final, NamedTuple

from e2ecross.errors import RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.record_encoding import decode_record, encode_record

__all__ = ["MAX_SEEN_COUNTS", "StripeRecord"]

MAX_SEEN_COUNTS: Final = 64
"""Signed prekeys of which a stripe counts; there are some five at a time."""


class StripeRecord(NamedTuple):
    """What is counted of a stripe.

    Attributes:
        epoch: how many sending and prekey operations were committed.
        next_queue_number: of the next row of inbox or outbox, from 1 on.
        seen: id of a signed prekey and how many base keys are remembered of it, ascending ids.
        life: of the device, when this stripe was last brought up to it; see `DeviceRecord`.
        outbox_due_ms: when something that waits here may be due to be sent, milliseconds since
            1970; 0: nothing waits, as far as is known. In a store with stripes.
    """

    epoch: int = 0
    next_queue_number: int = 1
    seen: tuple[tuple[int, int], ...] = ()
    life: int = 0
    outbox_due_ms: int = 0

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.StripeRecord(
                epoch=self.epoch,
                next_queue_number=self.next_queue_number,
                life=self.life,
                outbox_due_ms=self.outbox_due_ms,
                seen=[
                    storage_pb2.SeenCount(signed_prekey_id=each, count=count)
                    for each, count in self.seen
                ],
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "StripeRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a stripe record"
        fields = decode_record(storage_pb2.StripeRecord, data, what)
        seen = tuple((each.signed_prekey_id, each.count) for each in fields.seen)
        ids = [each for each, _ in seen]
        is_ascending = all(one < two for one, two in pairwise(ids))
        if len(ids) > MAX_SEEN_COUNTS or not is_ascending or not fields.next_queue_number:
            raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
        return cls(
            *(fields.epoch, fields.next_queue_number, seen, fields.life, fields.outbox_due_ms)
        )
