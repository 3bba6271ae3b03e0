# SPDX-License-Identifier: Apache-2.0
"""Contestant: the files of matrix-nio, by its own two functions, which take a file as a whole.

Matrix encrypts with AES-256-CTR; the message has one SHA-256 of the encrypted file, so nothing is
verified before its end. The primitives are those of pycryptodome.
"""

from contextlib import ExitStack
from typing import Final

from nio.crypto.attachments import decrypt_attachment, encrypt_attachment

from benchmarks.contestants.files import a_file
from benchmarks.implementation import Implementation
from benchmarks.job import Job, Step

__all__ = ["IMPLEMENTATIONS"]


def _encrypt(job: Job, cleanup: ExitStack) -> Step:
    file = a_file(job)
    return lambda: encrypt_attachment(file)


def _decrypt(job: Job, cleanup: ExitStack) -> Step:
    sealed, told = encrypt_attachment(a_file(job))
    key, digest, iv = told["key"]["k"], told["hashes"]["sha256"], told["iv"]
    return lambda: decrypt_attachment(sealed, key, digest, iv)


IMPLEMENTATIONS: Final = {
    "matrix-nio": Implementation(
        {"attachment_encrypt": _encrypt, "attachment_decrypt": _decrypt},
        packages=("matrix-nio", "pycryptodome"),
    )
}
