# SPDX-License-Identifier: Apache-2.0
import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from e2ecross.crypto import aead
from e2ecross.errors import AuthenticationFailed, InvalidArgument, LocalError

# https://www.rfc-editor.org/rfc/rfc8452#appendix-C.2
KEY = bytes.fromhex("01" + 31 * "00")
NONCE = bytes.fromhex("03" + 11 * "00")
VECTORS = [
    ("", "", "07f5f4169bbf55a8400cd47ea6fd400f"),
    ("0100000000000000", "", "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"),
    ("0200000000000000", "01", "1de22967237a813291213f267e3b452f02d01ae33e4ec854"),
]


@pytest.mark.parametrize(("plaintext", "associated_data", "sealed"), VECTORS)
def test_rfc_8452(plaintext: str, associated_data: str, sealed: str) -> None:
    data = bytes.fromhex(associated_data)
    assert aead.seal(KEY, NONCE, bytes.fromhex(plaintext), data).hex() == sealed
    assert aead.open_sealed(KEY, NONCE, bytes.fromhex(sealed), data).hex() == plaintext


def test_the_tag_has_16_bytes() -> None:
    assert aead.TAG_BYTES == 16
    for length in (0, 1, 16, 100):
        sealed = aead.seal(KEY, NONCE, bytes(length), b"")
        assert len(sealed) == length + aead.TAG_BYTES


def test_any_difference_is_one_error() -> None:
    sealed = aead.seal(KEY, NONCE, b"text", b"data")
    flipped = bytes([sealed[0] ^ 1]) + sealed[1:]
    for arguments in (
        (bytes(32), NONCE, sealed, b"data"),
        (KEY, bytes(12), sealed, b"data"),
        (KEY, NONCE, sealed, b"date"),
        (KEY, NONCE, flipped, b"data"),
        (KEY, NONCE, sealed[:-1], b"data"),
        (KEY, NONCE, sealed[:15], b"data"),
        (KEY, NONCE, b"", b"data"),
    ):
        with pytest.raises(AuthenticationFailed, match="do not open"):
            aead.open_sealed(*arguments)


def test_lengths_are_checked() -> None:
    for call in (aead.seal, aead.open_sealed):
        for key in (b"", bytes(16), bytes(31), bytes(33)):
            with pytest.raises(InvalidArgument, match="key must be 32 bytes"):
                call(key, NONCE, bytes(16), b"")
        for nonce in (b"", bytes(11), bytes(13)):
            with pytest.raises(InvalidArgument, match="nonce must be 12 bytes"):
                call(KEY, nonce, bytes(16), b"")


def test_an_old_openssl_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(key: bytes) -> None:
        raise UnsupportedAlgorithm("not there")

    monkeypatch.setattr(aead, "AESGCMSIV", unsupported)
    with pytest.raises(LocalError, match=r"OpenSSL 3\.2"):
        aead.seal(KEY, NONCE, b"", b"")
