# SPDX-License-Identifier: Apache-2.0
"""What the children note for the parent: lines in one file, appended by one `write` each.

A note survives the kill of its writer (the page cache does), and no two notes mix. A kill in the
middle of a `write` leaves the first half of a note: it was not written, and the next one begins on
a line of its own. Who reads meanwhile takes whole lines.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from e2ecross import Address, Envelope, MessageKind
from e2ecross.relay import Relay
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import Deposited, Waiting
from e2ecross.wire.sender_key_message import SenderKeyForm, decode_sender_key_message
from e2ecross.wire.signal_message import (
    VERSION_3,
    VERSION_4,
    PreKeySignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
)

Note = dict[str, Any]
_VERSIONS = (VERSION_3, VERSION_4)


class Journal:
    """The writing end; open it after the fork."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: str, **facts: object) -> None:
        line = b"\n" + json.dumps({"what": what, **facts}).encode() + b"\n"
        assert os.write(self._file, line) == len(line)


class JournalReader:
    """The reading end: each call returns what is new."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> list[Note]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.split(b"\n") if line.endswith(b"}")]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def open_wrapping(envelope: Envelope) -> tuple[str, list[int]]:
    """Digest of the innermost ciphertext (what CBC made), and the prekeys it names.

    They are a one-time prekey and a Kyber prekey, which may be a last-resort one. Of a message into
    a group neither: it is not encrypted in a session.
    """
    if envelope.kind is MessageKind.SENDER_KEY:
        return "", []
    if envelope.kind is MessageKind.PREKEY:
        outer: PreKeySignalMessage = decode_prekey_signal_message(envelope.ciphertext, _VERSIONS)
        kyber = None if outer.kyber is None else outer.kyber.prekey_id
        named = [number for number in (outer.one_time_prekey_id, kyber) if number is not None]
        return digest(outer.message.ciphertext), named
    return digest(decode_signal_message(envelope.ciphertext, _VERSIONS).ciphertext), []


class JournallingRelay(Relay):
    """A relay whose caller notes what is about to leave, what was published, what has come."""

    journal: Journal

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        for envelope in envelopes:
            decoded = Envelope.decode(envelope)
            text, _ = open_wrapping(decoded)
            self.journal.note("left", text=text, id=decoded.message_id.hex())
        return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)

    def deposit_copies(
        self, token: bytes, copies: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> Deposited:
        decoded = EnvelopeCopies.decode(copies)
        sent = decode_sender_key_message(SenderKeyForm.UUID, decoded.ciphertext)
        assert sent.distribution_id is not None
        self.journal.note(
            "left in a group",
            key=f"{decoded.sender} {sent.distribution_id.hex()} {sent.chain_id}",
            iteration=sent.iteration,
            text=digest(decoded.ciphertext),
            id=decoded.message_id.hex(),
        )
        return super().deposit_copies(token, copies, epochs=epochs)

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        batch = super().fetch(address, token, limit, after)
        for _, data in batch:
            envelope = Envelope.decode(data)
            _, prekeys = open_wrapping(envelope)
            for prekey in prekeys:
                self.journal.note(
                    "fetched", at=str(address), id=envelope.message_id.hex(), prekey=prekey
                )
        return batch
