# SPDX-License-Identifier: Apache-2.0
"""The same device in a process of its own: `python -m tests.attacks.twin STORE`.

Reads lines of JSON: what to encrypt for Budi and which envelopes to decrypt, interleaved. Answers
each with what it has sent, what it has read, and a digest of each (cipher key, IV) it has used.
"""

import hashlib
import json
import sys
from dataclasses import dataclass, field

from e2ecross import Device, Envelope, Text
from e2ecross.crypto.cipher import cbc_encrypt
from e2ecross.errors import DuplicateMessage
from e2ecross.protocol import ratchet
from e2ecross.stores import SQLiteStore
from tests.attacks.support import BUDI

__all__ = ["Work", "work"]

BUSY_TIMEOUT_MS = 60_000


@dataclass
class Work:
    """What one thread or process has done."""

    sent: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    late: int = 0


def work(device: Device, texts: list[str], envelopes: list[str]) -> Work:
    """Encrypt and decrypt in turn; somebody else may have read an envelope first."""
    done = Work()
    for place in range(max(len(texts), len(envelopes))):
        if place < len(texts):
            done.sent.append(device.encrypt(BUDI, Text(texts[place])).encode().hex())
        if place < len(envelopes):
            try:
                message = device.decrypt(Envelope.decode(bytes.fromhex(envelopes[place])))
            except DuplicateMessage:
                done.late += 1
            else:
                assert isinstance(message.content, Text)
                done.read.append(message.content.text)
    return done


def main(path: str) -> None:
    """Answer line after line, with one store and one device for all of them."""
    pairs: list[str] = []

    def watched(cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        pairs.append(hashlib.sha256(cipher_key + iv).hexdigest())
        return cbc_encrypt(cipher_key, iv, plaintext)

    setattr(ratchet, "cbc_encrypt", watched)  # noqa: B010
    with SQLiteStore(path, busy_timeout_ms=BUSY_TIMEOUT_MS) as store:
        device = Device.open(store)
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            texts, envelopes = json.loads(line)
            done = work(device, texts, envelopes)
            answer = {"sent": done.sent, "read": done.read, "late": done.late, "pairs": pairs}
            print(json.dumps(answer), flush=True)
            pairs.clear()


if __name__ == "__main__":
    main(sys.argv[1])
