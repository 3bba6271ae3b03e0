# SPDX-License-Identifier: Apache-2.0
"""A store in one SQLite file, for several threads and processes at once.

Rules:
- One connection per thread and process. A forked child neither uses nor closes its parent's.
- Every transaction begins with BEGIN IMMEDIATE: one that reads first and writes later would fail
  as soon as somebody else wrote in between.
- After an error of SQLite a transaction is over: SQLite may have rolled it back by itself, and
  what came next would be committed alone.
- Superseded records stay readable in the WAL until they are overwritten or it is truncated: on
  `close`, after a large commit, and after `TRUNCATE_EVERY` commits. In the file itself they are
  wiped (schema/0001.sql says how).
- Every error comes out as `StoreError`.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import NoReturn, Self, SupportsIndex

from e2ecross.arguments import forgets_secrets, require_callable, require_file_name
from e2ecross.errors import InvalidArgument, StoreBusy
from e2ecross.stores.base import OneGate, Transaction
from e2ecross.stores.checks import (
    DEFAULT_BUSY_TIMEOUT_MS,
    DEFAULT_CACHED_VALUES,
    check_busy_timeout,
    check_cached_values,
    check_stripe,
)
from e2ecross.stores.gate import Stay
from e2ecross.stores.sealing import SYSTEM_ENTROPY, EntropySource, reseal
from e2ecross.stores.sealing_header import (
    PassphraseCost,
    StoreKey,
    check_store_key,
    create_sealing,
    open_sealing,
)
from e2ecross.stores.sqlite_commit import (
    LARGE_WAL_BYTES,
    RESTART_EVERY,
    TRUNCATE_EVERY,
    Block,
)
from e2ecross.stores.sqlite_connections import Connections
from e2ecross.stores.sqlite_errors import as_store_errors
from e2ecross.stores.sqlite_file import connect, create, recognise, use_wal
from e2ecross.stores.sqlite_identity import OpenedFile, Sealing, place_of
from e2ecross.stores.sqlite_schema import (
    prepare,
    read_meta,
    replace_sealing,
    wipe_old_key,
)

__all__ = ["LARGE_WAL_BYTES", "RESTART_EVERY", "TRUNCATE_EVERY", "SQLiteStore"]


class SQLiteStore(OneGate):
    """A store in one file; created, readable for its owner only, when there is none.

    Args:
        path: the file. Beside it SQLite keeps `-wal` and `-shm` while the store is open.
        key: 32 bytes, secret: every record is encrypted and every look-up key blinded. None: the
            file holds them in the clear.
        passphrase: instead of a key, secret; the key is derived from it with Argon2id.
        passphrase_cost: how much work that is in a store that is newly created; an existing one
            keeps its own.
        busy_timeout_ms: how long a transaction waits for other threads of this process, and then
            for other processes, in milliseconds.
        entropy: source of salts and nonces.
        cached_values: how many decoded records this process keeps, 0 to 10,000,000, until anybody
            else writes. A contact with one session takes three, 2 KiB together, and through a
            `Client` five; sending to a contact whose records are kept costs a third. They hold
            secrets.

    Raises:
        InvalidArgument: an argument has the wrong type, length or range.
        WrongStoreKey: the store has another key or passphrase, or none, or needs one. The file
            is unchanged.
        LocalError: there is not enough memory for the passphrase.
        StoreCorrupted: the file is damaged, or something else. It is unchanged.
        StoreTooNew: a later release wrote it. It is unchanged.
        StoreBusy: other processes held it for too long.
        StoreError: it cannot be read or written.
    """

    __slots__ = (
        "_busy_timeout_ms",
        "_by_process",
        "_cached_values",
        "_entropy",
        "_file",
    )

    @forgets_secrets
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: bytes | None = None,
        passphrase: str | bytes | None = None,
        passphrase_cost: PassphraseCost | str = PassphraseCost.MODERATE,
        busy_timeout_ms: int = DEFAULT_BUSY_TIMEOUT_MS,
        entropy: EntropySource = SYSTEM_ENTROPY,
        cached_values: int = DEFAULT_CACHED_VALUES,
    ) -> None:
        name = os.path.abspath(require_file_name("path", path))  # the working folder may change
        store_key = check_store_key(key, passphrase, passphrase_cost)
        self._busy_timeout_ms = check_busy_timeout(busy_timeout_ms)
        self._cached_values = check_cached_values(cached_values)
        self._by_process: dict[int, Connections] = {}
        self._entropy = entropy
        self._file = self._prepare(name, store_key)

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        """Begin a transaction; see `Store.transaction`.

        Raises:
            WrongStoreKey: the key was changed by somebody else.
            StoreCorrupted: the file was removed or replaced, or an older state put into it.
        """
        if stripe != 0:
            check_stripe(stripe, 0)
        return Block(self._file, self._connections)

    @forgets_secrets
    def rekey(
        self,
        *,
        key: bytes | None = None,
        passphrase: str | bytes | None = None,
        passphrase_cost: PassphraseCost | str = PassphraseCost.MODERATE,
        progress: Callable[[int, int], object] | None = None,
    ) -> bool:
        """Seal every record anew, under a new key or passphrase, in one transaction.

        This object goes on with the new key. Others that have the file open get `WrongStoreKey`
        with their next transaction. A crash or an interrupt leaves the store under the old or the
        new key, and this object goes on with the one that it is.

        Args:
            key: 32 bytes, secret; or:
            passphrase: text or bytes, secret.
            passphrase_cost: how much work deriving the key from it is.
            progress: called with how many steps are done, every 256, and how many there are: one
                for each record, and one for rewriting the file in the end. It is inside the
                transaction and may not use the store. What it raises is an interrupt.

        Returns:
            Whether all traces of the old key are gone from the files. If not, because somebody was
            reading or the disk is full, the next opening tries again.

        Raises:
            InvalidArgument: neither or both were given, or of the wrong type or length.
            WrongStoreKey: the key was changed by somebody else before.
            StoreError: see `transaction`; also when a record is damaged. The old key stays.
            LocalError: there is not enough memory for the passphrase.
        """
        new_key = check_store_key(key, passphrase, passphrase_cost)
        if progress is not None:
            require_callable("progress", progress)
        header = create_sealing(new_key, self._entropy)
        sealer = open_sealing(new_key, header, self._entropy)
        if sealer is None:
            raise InvalidArgument("key or passphrase must be given: a store is not unsealed")
        block = Block(self._file, self._connections)
        with block:
            steps = block.transaction.count_all() + 1
            tell = _teller(progress, steps)
            tell(0)
            reseal(block.transaction, self._file.sealing[1], sealer, tell)
            with as_store_errors(self._file.path):
                replace_sealing(block.way.connection, header)
            block.transaction.has_written = True  # also where there was nothing to reseal
            block.new_sealing = (header, sealer)
        is_wiped = self._wipe(block)
        tell(steps)
        return is_wiped

    def close(self) -> None:
        """Truncate the WAL and close the connections of all threads of this process.

        Later use raises `StoreClosed`; closing again does nothing. While another process is in
        the store, its WAL may stay; the last one to close removes it.

        Raises:
            StoreBusy: another thread was inside a transaction for too long; not closed.
            StoreError: this thread is inside a transaction; not closed.
        """
        if self._file.closed:
            return
        connections = self._connections()
        with Stay(connections.gate, self._busy_timeout_ms), as_store_errors(self._file.path):
            connections.clear_leftovers()
            connections.close()
            self._file.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._file.path!r}: {'closed' if self._file.closed else 'open'}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a SQLiteStore cannot be pickled or copied: open its path again")

    def _prepare(self, path: str, key: StoreKey) -> OpenedFile:
        sealing: Sealing = (b"", None)

        def open_header(header: bytes) -> None:
            nonlocal sealing
            sealing = (header, open_sealing(key, header, self._entropy))

        with as_store_errors(path):
            create(path)
            recognise(path)
            connection = connect(path, self._busy_timeout_ms)
            try:
                place = place_of(path)
                prepare(connection, lambda: create_sealing(key, self._entropy), open_header)
                use_wal(connection, self._busy_timeout_ms)
                wipe_old_key(connection)
                _, generation = read_meta(connection)
            finally:
                connection.close()
        return OpenedFile(path, place, sealing, generation)

    def _wipe(self, block: Block) -> bool:
        """Wipe what is left of the old key, on the connection that has changed it."""
        connections = self._connections()
        try:
            with Stay(connections.gate, self._busy_timeout_ms):
                connections.clear_leftovers()
                return not block.way.closed and wipe_old_key(block.way.connection)
        except StoreBusy:
            return False

    def _connections(self) -> Connections:
        """Those of this process."""
        pid = os.getpid()
        # setdefault is atomic: threads that come first together agree on one.
        return self._by_process.get(pid) or self._by_process.setdefault(
            pid, Connections(self._file.path, self._busy_timeout_ms, self._cached_values)
        )


def _teller(progress: Callable[[int, int], object] | None, steps: int) -> Callable[[int], object]:
    """What is called with how many steps are done."""
    return lambda done: None if progress is None else progress(done, steps)
