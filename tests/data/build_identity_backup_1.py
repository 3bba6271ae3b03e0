# SPDX-License-Identifier: Apache-2.0
"""Make the identity backup here, an example that docs/wire-format.md names.

Run from the repository's root when the format changes; from the first release on never again.

Nothing of e2ecross is imported: the format is written down here a second time, as
docs/wire-format.md describes it, with OpenSSL's Argon2id. Salt and nonce are hashes.
"""

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

HERE = Path(__file__).parent
PASSPHRASE = "correct horse battery staple"
PRIVATE_KEY = bytes(range(32))
TOKEN = bytes(range(32, 64))
PASSES, MEMORY_KIB = 2, 65_536


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def text(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def build() -> bytes:
    salt = hashlib.sha256(b"salt").digest()[:16]
    nonce = hashlib.sha256(b"nonce").digest()[:12]
    address = text(1, b"whatsapp") + text(2, b"ana") + number(3, 2)
    content = text(1, address) + text(2, PRIVATE_KEY) + text(3, TOKEN)
    header = number(1, 1) + number(2, PASSES) + number(3, MEMORY_KIB) + text(4, salt)
    header += text(5, nonce)
    derivation = Argon2id(salt=salt, length=32, iterations=PASSES, lanes=1, memory_cost=MEMORY_KIB)
    key = derivation.derive(PASSPHRASE.encode())
    sealed = AESGCMSIV(key).encrypt(nonce, content, b"e2ecross identity backup 1" + header)
    return header + text(6, sealed)


if __name__ == "__main__":
    HERE.joinpath("identity-backup-1.bin").write_bytes(build())
