# SPDX-License-Identifier: Apache-2.0
"""Records of consent: what an account lets this device send, and how much of it was used.

They hold the token of the grant as plain bytes, and do not show it. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass

from e2ecross.errors import InvalidArgument, RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.content.consent_grant import ConsentGrant, grant_from_fields, grant_to_fields
from e2ecross.wire.record_encoding import decode_record, encode_record

__all__ = ["ConsentRecord"]


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """What an account has consented to.

    Attributes:
        grant: the one that counts; None: it was revoked.
        number: the greatest of all grants and revokes of the account.
        day: when the last message with a purpose was sent, days since 1970 by UTC.
        count: messages with a purpose that were sent on that day.
    """

    grant: ConsentGrant | None
    number: int
    day: int = 0
    count: int = 0

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.ConsentRecord(
                grant=None if self.grant is None else grant_to_fields(self.grant),
                number=self.number,
                day=self.day,
                count=self.count,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "ConsentRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a record of consent"
        fields = decode_record(storage_pb2.ConsentRecord, data, what)
        try:
            grant = grant_from_fields(fields.grant) if fields.HasField("grant") else None
        except InvalidArgument as error:
            raise RecordCorrupted(f"{what} holds no grant: the store is damaged") from error
        if grant is not None and grant.number != fields.number:
            raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
        return cls(grant, fields.number, fields.day, fields.count)
