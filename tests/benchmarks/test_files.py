# SPDX-License-Identifier: Apache-2.0
"""Files in the table: everybody gives back the file, and the formats of others notice a change."""

import hashlib
import hmac
from contextlib import ExitStack
from io import BytesIO

import pytest

from benchmarks.contestants import files
from benchmarks.job import Job, Maker
from benchmarks.media_formats import (
    SIGNAL,
    WHATSAPP,
    MediaFormat,
    decrypt_media,
    encrypt_media,
)
from e2ecross import AttachmentReader
from tests.support.blobs import make_file

forms = pytest.mark.parametrize("form", [SIGNAL, WHATSAPP], ids=["Signal", "WhatsApp"])
EACH = 64


@forms
@pytest.mark.parametrize("size", [0, 1, 15, 16, 63, 64, 65, 127, 128, 1000])
def test_a_file_comes_back(form: MediaFormat, size: int) -> None:
    file, sealed, opened = make_file(size), BytesIO(), BytesIO()
    keys = encrypt_media(form, file, EACH, sealed.write)
    decrypt_media(form, keys, sealed.getvalue(), EACH, opened.write)
    assert opened.getvalue() == file


@forms
def test_a_blob_is_laid_out_as_described(form: MediaFormat) -> None:
    file, sealed = make_file(200), BytesIO()
    keys = encrypt_media(form, file, EACH, sealed.write)
    blob = sealed.getvalue()
    assert len(blob) == {SIGNAL: 16 + 208 + 32, WHATSAPP: 208 + 10}[form]
    ciphertext = blob[16 * form.has_iv : -form.mac_bytes]
    assert blob.startswith(keys.iv if form.has_iv else ciphertext)
    mac = hmac.digest(keys.mac, keys.iv + ciphertext, "sha256")
    assert blob[-form.mac_bytes :] == mac[: form.mac_bytes]
    assert keys.digest == hashlib.sha256(blob).digest()
    assert keys.file_digest == (hashlib.sha256(file).digest() if form.hashes_file else b"")


@forms
def test_a_change_is_noticed(form: MediaFormat) -> None:
    sealed = BytesIO()
    keys = encrypt_media(form, make_file(200), EACH, sealed.write)
    for at in (0, 100, len(sealed.getvalue()) - 1):
        changed = bytearray(sealed.getvalue())
        changed[at] ^= 1
        with pytest.raises(ValueError, match="another"):
            decrypt_media(form, keys, bytes(changed), EACH, BytesIO().write)


@pytest.mark.parametrize("makers", [files.MAKERS, files.TWO_THREADS], ids=["one", "two"])
def test_ours_is_the_library(makers: dict[str, Maker], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is timed is a whole file: less of it is an error."""
    job = Job("attachment_decrypt", {"bytes": 200_000}, 1, 1, 0)
    with ExitStack() as cleanup:
        step = makers["attachment_decrypt"](job, cleanup)
        step()
        monkeypatch.setattr(AttachmentReader, "copy_to", lambda _, sink: sink.write(b"x"))
        with pytest.raises(ValueError, match="1 bytes of 200000"):
            step()
