# SPDX-License-Identifier: Apache-2.0
"""A store of files as a client sees it: blobs, of which it learns the size and nothing else.

Rules:
- Every call is synchronous, and may be repeated: a second time it changes nothing.
- What is stored was encrypted before. A blob has a random id, and whoever knows the id may read:
  it goes to the readers in a message, never to anybody else. Writing takes the token that the
  device registered with; a blob belongs to the account that began it, all its devices alike.
- A blob is written from its beginning to its end, and can be read when it is complete. It is kept
  for a while; one that is incomplete for a shorter while.
- What goes wrong on the way comes out as `BackendError`; what comes back is not trusted.
"""

from typing import Protocol

from e2ecross.address import Address

__all__ = ["BlobStore"]


class BlobStore(Protocol):
    """Where files are kept; `Relay` and `FolderBlobs` of `e2ecross.relay` are such.

    Source: attachments.md 8.
    """

    def begin_blob(self, address: Address, token: bytes, blob_id: bytes, size: int) -> int:
        """Begin a blob, or ask where it stands.

        Args:
            address: of the device that uploads.
            token: that address's token, 32 bytes, secret.
            blob_id: names the blob, 32 random bytes.
            size: how many bytes it will have, at least 1.

        Returns:
            How many bytes of it are there, from its beginning.

        Raises:
            NotRegistered: the token is not that of the address.
            BackendRefused: it was begun by another account or with another size; it is too large,
                or the account has too much.
        """
        ...

    def put_blob(
        self, address: Address, token: bytes, blob_id: bytes, offset: int, data: bytes
    ) -> int:
        """Append to a blob; what is there already is not looked at.

        Args:
            address: of a device of the account that began it.
            token: that address's token, 32 bytes, secret.
            blob_id: names the blob, 32 bytes.
            offset: where the data belongs, bytes; at most what is there.
            data: 1 to 4,194,304 bytes, not beyond the size.

        Returns:
            How many bytes of it are there now: kept, whatever becomes of the back end's process.

        Raises:
            NotRegistered: the token is not that of the address.
            BlobGone: it was not begun, or not by this account, or has expired: begin it anew.
            BackendRefused: offset or data are not within these bounds.
        """
        ...

    def get_blob(self, blob_id: bytes, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes of a complete blob.

        Args:
            blob_id: names the blob, 32 bytes; it is what allows to read.
            offset: of the first byte.
            length: how many, 1 to 4,194,304, inside the blob.

        Raises:
            BlobGone: it is unknown, incomplete, expired or deleted, all alike.
            BackendRefused: the range is not within these bounds.
        """
        ...

    def delete_blob(self, address: Address, token: bytes, blob_id: bytes) -> None:
        """Delete a blob of the account, complete or not; an unknown one or another's is ignored.

        Args:
            address: of a device of the account that began it.
            token: that address's token, 32 bytes, secret.
            blob_id: names the blob, 32 bytes.

        Raises:
            NotRegistered: the token is not that of the address.
        """
        ...
