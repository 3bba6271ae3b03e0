# SPDX-License-Identifier: Apache-2.0
"""The back end of the demo when it turns hostile: it rewrites the relay's file as it likes.

Plain SQL on the relay's own tables, past the relay's code and its rules: whoever runs a back end
can do this. It holds no key; neither does this module.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from e2ecross.address import Address
from e2ecross.demo.facts import Letter
from e2ecross.demo.people import DemoFailed, Person
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.signal_message import VERSIONS, decode_signal_message

__all__ = ["Account", "BackEnd", "Blob", "Flipped"]

_BUSY_SECONDS = 5.0


class Account(NamedTuple):
    """What the relay's file knows of an account."""

    registration_id: int
    identity_key: str
    signed_prekey_id: int
    one_time_prekeys: int


class Flipped(NamedTuple):
    """An envelope with one bit of its encrypted text flipped."""

    envelope: bytes
    byte: int
    before: int
    after: int


class Blob(NamedTuple):
    """What the relay's file knows of a file that it keeps.

    Attributes:
        name: what it is kept under, 32 bytes as hex.
        user: the account that uploads it.
        size: how many bytes it will have.
        stored: how many are there.
    """

    name: str
    user: str
    size: int
    stored: int


class BackEnd:
    """The relay's file, and its folder of files, in the hands of an attacker."""

    def __init__(self, relay_file: Path, blob_folder: Path) -> None:
        self._file = relay_file
        self._blob_folder = blob_folder

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._file, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()  # takes back what was not committed

    def account(self, person: Person) -> Account:
        """Read what is published of an account.

        Raises:
            DemoFailed: nothing is.
        """
        with self._open() as connection:
            row = connection.execute(
                "SELECT registration_id, identity_key, signed_prekey_id FROM accounts"
                " WHERE address = ? AND identity_key IS NOT NULL",
                (person.address,),
            ).fetchone()
            counts = connection.execute(
                "SELECT COUNT(*) FROM one_time_prekeys"
                " WHERE address = ? AND public_key IS NOT NULL GROUP BY kind",
                (person.address,),
            ).fetchall()
        if row is None:
            raise DemoFailed(f"the relay's file holds no keys of {person.address}")
        count = min((found for (found,) in counts), default=0)  # of either kind
        return Account(row[0], bytes(row[1]).hex(), row[2], count)

    def signed_list(self, user: str) -> SignedDeviceList:
        """Read the list of the devices of a user that the relay hands out.

        Raises:
            DemoFailed: there is none.
        """
        with self._open() as connection:
            row = connection.execute(
                "SELECT signed FROM device_lists WHERE user = ?", (user,)
            ).fetchone()
        if row is None:
            raise DemoFailed(f"the relay's file holds no list of the devices of {user}")
        return SignedDeviceList.decode(row[0])

    def put_list(self, signed: SignedDeviceList) -> None:
        """Hand out another list of a user's devices from now on."""
        with self._open() as connection:
            connection.execute(
                "UPDATE device_lists SET seq = ?, signed = ? WHERE user = ?",
                (signed.list.seq, signed.encode(), str(signed.list.user)),
            )

    def waiting(self, person: Person) -> list[bytes]:
        """Read the envelopes that wait for somebody, in the order of delivery."""
        with self._open() as connection:
            return [envelope for _, envelope in _waiting(connection, person)]

    def withhold(self, person: Person, envelope: bytes) -> None:
        """Take an envelope that waits for somebody out of their mailbox.

        Raises:
            DemoFailed: it does not wait there.
        """
        with self._open() as connection:
            found = [number for number, other in _waiting(connection, person) if other == envelope]
            if len(found) != 1:
                raise DemoFailed(f"a message to {person.name} was not where the relay keeps it")
            connection.execute("DELETE FROM mailbox WHERE number = ?", found)

    def empty(self, person: Person) -> int:
        """Take all that waits for somebody out of their mailbox; return how many that were."""
        with self._open() as connection:
            return connection.execute(
                "DELETE FROM mailbox WHERE recipient = ?", (person.address,)
            ).rowcount

    def put(self, person: Person, envelope: bytes) -> None:
        """Put anything into anybody's mailbox."""
        self.put_at(person.address, envelope)

    def put_at(self, address: str, envelope: bytes) -> None:
        """The same for an address."""
        with self._open() as connection:
            connection.execute(
                "INSERT INTO mailbox (recipient, envelope) VALUES (?, ?)", (address, envelope)
            )

    def count_kept(self, ciphertext: bytes) -> int:
        """Count how many times the relay keeps what waits for several devices."""
        with self._open() as connection:
            (count,) = connection.execute(
                "SELECT COUNT(*) FROM shared_ciphertexts WHERE instr(ciphertext, ?)", (ciphertext,)
            ).fetchone()
        return int(count)

    def reorder(self, person: Person, letters: Sequence[Letter]) -> None:
        """Make all that waits for somebody come in this order.

        Raises:
            DemoFailed: these are not the letters that wait.
        """
        with self._open() as connection:
            rows = _waiting(connection, person)
            if sorted(row[1] for row in rows) != sorted(letter.envelope for letter in letters):
                raise DemoFailed(f"other messages wait for {person.name} than were sent")
            for (number, _), letter in zip(rows, letters, strict=True):
                connection.execute(
                    "UPDATE mailbox SET envelope = ? WHERE number = ?", (letter.envelope, number)
                )

    def flip_bit(self, letter: Letter) -> Flipped:
        """Flip the lowest bit of the first encrypted byte of a letter (a normal message)."""
        envelope = Envelope.decode(letter.envelope)
        encrypted = decode_signal_message(envelope.ciphertext, VERSIONS).ciphertext
        at = envelope.ciphertext.rindex(encrypted)
        changed = bytearray(envelope.ciphertext)
        changed[at] ^= 1
        rewritten = replace(envelope, ciphertext=bytes(changed))
        return Flipped(rewritten.encode(), at, encrypted[0], changed[at])

    def readdress(self, letter: Letter, recipient: Person) -> bytes:
        """Write another recipient on the envelope of a letter."""
        envelope = Envelope.decode(letter.envelope)
        return replace(envelope, recipient=Address.parse(recipient.user)).encode()

    def rewrite_sender(self, envelope: bytes, sender: Person) -> bytes:
        """Write another sender on an envelope."""
        return replace(Envelope.decode(envelope), sender=Address.parse(sender.user)).encode()

    def blob(self) -> Blob:
        """Read all that is known of the one file that the relay keeps.

        Raises:
            DemoFailed: there is none, or more, or its bytes are not where they must be.
        """
        with self._open() as connection:
            rows = connection.execute("SELECT id_sha256, user, size, stored FROM blobs").fetchall()
        names = sorted(file.name.partition(".")[0] for file in self._blob_folder.iterdir())
        if len(rows) != 1 or names != [bytes(row[0]).hex() for row in rows]:
            raise DemoFailed(f"the relay keeps {len(rows)} files, by the names of {names}")
        ((name, user, size, stored),) = rows
        return Blob(bytes(name).hex(), user, size, stored)

    def swap_chunks(self, blob: Blob, one: int, other: int, chunk_bytes: int) -> None:
        """Have two chunks of a file change places; once more, and it is as it was."""
        with (self._blob_folder / blob.name).open("r+b") as file:
            found = []
            for number in (one, other):
                file.seek(number * chunk_bytes)
                found.append(file.read(chunk_bytes))
            for number, chunk in zip((other, one), found, strict=True):
                file.seek(number * chunk_bytes)
                file.write(chunk)

    def read_files(self) -> bytes:
        """Return all that the relay has on disk: its file, what SQLite keeps beside it, files."""
        files = sorted(self._file.parent.glob(self._file.name + "*"))
        files += sorted(self._blob_folder.iterdir())
        return b"\0".join(file.read_bytes() for file in files)


def _waiting(connection: sqlite3.Connection, person: Person) -> list[tuple[int, bytes]]:
    """Numbers and envelopes; of a message for several devices the end is kept apart, once."""
    rows = connection.execute(
        "SELECT mailbox.number, envelope, ciphertext FROM mailbox"
        " LEFT JOIN shared_ciphertexts ON shared_ciphertexts.number = shared"
        " WHERE recipient = ? ORDER BY mailbox.number",
        (person.address,),
    )
    return [(number, bytes(start) + bytes(end or b"")) for number, start, end in rows]
