# SPDX-License-Identifier: Apache-2.0
"""The calls of a relay about files: `e2ecross.client.blob_store.BlobStore`."""

from e2ecross.address import Address
from e2ecross.arguments import forgets_secrets, require_bytes, require_type
from e2ecross.errors import BackendRefused
from e2ecross.relay import directory
from e2ecross.relay.blob_files import BlobFiles
from e2ecross.relay.blobs import Blobs, blob_gone, key_of
from e2ecross.relay.database import FILES, Connection
from e2ecross.relay.relay_file import RelayFile
from e2ecross.wire import call_arguments as arguments
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["BlobCalls"]


class BlobCalls(RelayFile):
    """What a `Relay` does with files."""

    @forgets_secrets
    def begin_blob(self, address: Address, token: bytes, blob_id: bytes, size: int) -> int:
        """Begin a blob, or return how many bytes of it are there; see `e2ecross.BlobStore`.

        It has `RelayLimits.blob_part_kept_ms` to get complete, from the first call on.

        Args:
            address: of the device that uploads; the blob is its account's.
            token: that address's token, 32 bytes, secret.
            blob_id: 32 random bytes; only their SHA-256 is kept.
            size: 1 to `RelayLimits.blob_bytes`.

        Raises:
            NotRegistered: the token is not that of the address.
            BackendRefused: it was begun by another account or with another size; it is too large;
                the account has too much; or this relay keeps no files.
        """
        self._require_caller(address, token, blob_id)
        arguments.require_blob_size(size, self._limits.blob_bytes)
        files = self._require_files()

        def work(connection: Connection) -> int:
            self._require_holder(connection, address, token)
            blobs = Blobs(connection, files, self._limits, self._clock())
            return blobs.begin(key_of(blob_id), str(address.user_id), size)

        with files.failures():
            return self._database.write(work, FILES)

    @forgets_secrets
    def put_blob(
        self, address: Address, token: bytes, blob_id: bytes, offset: int, data: bytes
    ) -> int:
        """Append to a blob, and return how many bytes of it are there; see `e2ecross.BlobStore`.

        They are on the disk. A complete blob is kept for `RelayLimits.blob_kept_ms` from then on.

        Args:
            address: of a device of the account that began it.
            token: that address's token, 32 bytes, secret.
            blob_id: 32 bytes.
            offset: at most what is there.
            data: 1 to 4,194,304 bytes, not beyond the size; of what is there already nothing is
                changed.

        Raises:
            NotRegistered: the token is not that of the address.
            BlobGone: it was not begun, or not by this account, or has expired.
            BackendRefused: offset or data are not within these bounds; or this relay keeps no
                files.
        """
        self._require_caller(address, token, blob_id)
        arguments.require_blob_piece(offset, data)
        files = self._require_files()

        def work(connection: Connection) -> int:
            self._require_holder(connection, address, token)
            blobs = Blobs(connection, files, self._limits, self._clock())
            return blobs.append(key_of(blob_id), str(address.user_id), offset, data)

        with files.failures():
            return self._database.write(work, FILES)

    def get_blob(self, blob_id: bytes, offset: int, length: int) -> bytes:
        """Return a range of a complete blob; see `e2ecross.BlobStore`.

        Args:
            blob_id: 32 bytes.
            offset: of the first byte.
            length: 1 to 4,194,304, inside the blob.

        Raises:
            BlobGone: it is unknown, incomplete, expired or deleted.
            BackendRefused: the range is not within these bounds; or this relay keeps no files.
        """
        arguments.require_blob_id(blob_id)
        arguments.require_blob_range(offset, length)
        files, key = self._require_files(), key_of(blob_id)
        size = self._database.read(
            lambda connection: Blobs(connection, files, self._limits, self._clock()).size_to_read(
                key
            )
        )
        if offset + length > size:
            raise BackendRefused(f"bytes {offset} to {offset + length} of a file of {size}")
        with files.failures():
            found = files.read(key, offset, length)
        if found is None:
            raise blob_gone()
        return found

    @forgets_secrets
    def delete_blob(self, address: Address, token: bytes, blob_id: bytes) -> None:
        """Delete a blob of the account, complete or not; an unknown one or another's is ignored.

        Args:
            address: of a device of the account that began it.
            token: that address's token, 32 bytes, secret.
            blob_id: 32 bytes.

        Raises:
            NotRegistered: the token is not that of the address.
            BackendRefused: this relay keeps no files.
        """
        self._require_caller(address, token, blob_id)
        files = self._require_files()

        def work(connection: Connection) -> None:
            self._require_holder(connection, address, token)
            blobs = Blobs(connection, files, self._limits, self._clock())
            blobs.delete(key_of(blob_id), str(address.user_id))

        with files.failures():
            self._database.write(work, FILES)

    def _require_caller(self, address: Address, token: bytes, blob_id: bytes) -> None:
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        arguments.require_blob_id(blob_id)

    def _require_holder(self, connection: Connection, address: Address, token: bytes) -> None:
        directory.require_holder(connection, address, token)

    def _require_files(self) -> BlobFiles:
        if self._blob_files is None:
            raise BackendRefused("this relay keeps no files")
        return self._blob_files
