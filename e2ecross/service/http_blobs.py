# SPDX-License-Identifier: Apache-2.0
"""The calls of `HTTPBackend` about files: `e2ecross.BlobStore`.

How large a file may be, and how much an account has, is for the service to say.

Source: attachments.md 8.
"""

from e2ecross.address import Address
from e2ecross.arguments import (
    forgets_secrets,
    require_bytes,
    require_type,
    require_whole_number,
)
from e2ecross.service.http_calls import HTTPCalls, fitting
from e2ecross.wire import call_arguments as arguments
from e2ecross.wire.exchange import MAX_NUMBER
from e2ecross.wire.limits import TOKEN_BYTES
from e2ecross.wire.service_blobs import BlobRequest, decode_blob, decode_stored

__all__ = ["HTTPBlobs"]


class HTTPBlobs(HTTPCalls):
    """What an `HTTPBackend` does with files."""

    @forgets_secrets
    def begin_blob(self, address: Address, token: bytes, blob_id: bytes, size: int) -> int:
        """See `e2ecross.BlobStore`."""
        _require_caller(address, token, blob_id)
        require_whole_number("size", size, 0, MAX_NUMBER)
        body = BlobRequest(blob_id, address, length=size).encode()
        answer = self._ask(address, "begin_blob", token, body)
        return fitting(lambda: decode_stored(answer))

    @forgets_secrets
    def put_blob(
        self, address: Address, token: bytes, blob_id: bytes, offset: int, data: bytes
    ) -> int:
        """See `e2ecross.BlobStore`."""
        _require_caller(address, token, blob_id)
        arguments.require_blob_piece(offset, data)
        body = BlobRequest(blob_id, address, offset, data=data).encode()
        answer = self._ask(address, "put_blob", token, body)
        return fitting(lambda: decode_stored(answer))

    @forgets_secrets
    def get_blob(self, blob_id: bytes, offset: int, length: int) -> bytes:
        """See `e2ecross.BlobStore`; whether as many bytes came is for who asks to see."""
        arguments.require_blob_id(blob_id)
        arguments.require_blob_range(offset, length)
        body = BlobRequest(blob_id, offset=offset, length=length).encode()
        answer = self._transport.ask("get_blob", b"", body)
        return fitting(lambda: decode_blob(answer))

    @forgets_secrets
    def delete_blob(self, address: Address, token: bytes, blob_id: bytes) -> None:
        """See `e2ecross.BlobStore`."""
        _require_caller(address, token, blob_id)
        self._ask(address, "delete_blob", token, BlobRequest(blob_id, address).encode())


def _require_caller(address: Address, token: bytes, blob_id: bytes) -> None:
    require_type("address", address, Address)
    require_bytes("token", token, TOKEN_BYTES)
    arguments.require_blob_id(blob_id)
