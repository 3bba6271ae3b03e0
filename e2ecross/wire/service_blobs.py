# SPDX-License-Identifier: Apache-2.0
"""Bodies of the calls about files that are kept beside messages.

Source: attachments.md 8; docs/service.md, bodies.
"""

from dataclasses import dataclass, field
from typing import Self

from e2ecross.address import Address
from e2ecross.wire._pb.e2ecross.v1 import service_pb2
from e2ecross.wire.encoding import decode_address, encode_address, parse, serialize
from e2ecross.wire.exchange import BLOB_ID_BYTES
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_encoding import require_length, require_number

__all__ = ["BlobRequest", "decode_blob", "decode_stored", "encode_blob", "encode_stored"]


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """What is asked about a blob; how large it and its pieces may be is for the back end to judge.

    Attributes:
        blob_id: names it, and is what allows to read it: 32 bytes, secret.
        address: of the device that writes; None: who reads needs none.
        offset: of the first byte, 0 to 2^63-1.
        length: the size that it is begun with, or how many bytes are read, 0 to 2^63-1.
        data: what is appended, as it was encrypted before.
    """

    blob_id: bytes = field(repr=False)
    address: Address | None = None
    offset: int = 0
    length: int = 0
    data: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(
            service_pb2.BlobRequest(
                address=None if self.address is None else encode_address(self.address),
                blob_id=self.blob_id,
                offset=self.offset,
                length=self.length,
                data=self.data,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        largest = CALLS["put_blob"].max_request
        fields = parse(service_pb2.BlobRequest, data, "a question about a file", largest)
        return cls(
            require_length("blob_id", fields.blob_id, BLOB_ID_BYTES),
            decode_address(fields.address) if fields.HasField("address") else None,
            require_number("offset", fields.offset),
            require_number("length", fields.length),
            fields.data,
        )


def encode_stored(stored: int) -> bytes:
    """Return the body that tells how many bytes of a blob are there."""
    return serialize(service_pb2.BlobResponse(stored=stored))


def decode_stored(data: bytes) -> int:
    """Read how many bytes of a blob are there, 0 to 2^63-1.

    Raises:
        DecodeError: malformed, or a bound is exceeded.
    """
    largest = CALLS["put_blob"].max_answer
    fields = parse(service_pb2.BlobResponse, data, "an answer", largest)
    return require_number("what is stored of a file", fields.stored)


def encode_blob(found: bytes) -> bytes:
    """Return the body that hands out a range of a blob."""
    return serialize(service_pb2.BlobResponse(data=found))


def decode_blob(data: bytes) -> bytes:
    """Read a range of a blob; whether it is as long as was asked for is for its reader to see.

    Raises:
        DecodeError: malformed, or too large for any.
    """
    return parse(service_pb2.BlobResponse, data, "an answer", CALLS["get_blob"].max_answer).data
