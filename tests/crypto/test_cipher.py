# SPDX-License-Identifier: Apache-2.0
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.cipher import (
    BLOCK_BYTES,
    MAC_BYTES,
    cbc_decrypt,
    cbc_encrypt,
    compute_mac,
    verify_mac,
)
from e2ecross.crypto.kdf import hmac_sha256
from e2ecross.errors import AuthenticationFailed
from tests.support.vectors import unhex

KEY, IV = b"k" * 32, b"i" * 16
BAD_PADDING = {
    "zero": b"x" * 15 + b"\x00",
    "above the block": b"x" * 15 + b"\x11",
    "two that differ": b"x" * 14 + b"\x01\x02",
    "sixteen not all the same": b"\x0f" + b"\x10" * 15,
    "255": b"\xff" * 16,
}


def _encrypt_unpadded(padded: bytes) -> bytes:
    encryptor = Cipher(AES256(KEY), CBC(IV)).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


# NIST SP 800-38A section F.2.5 (CBC-AES256.Encrypt); the library adds a block of padding.
def test_cbc_of_sp_800_38a() -> None:
    key = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    iv = bytes(range(16))
    plaintext = unhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    ciphertext = cbc_encrypt(key, iv, plaintext)
    assert ciphertext[:64] == unhex(
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
        "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"
    )
    assert len(ciphertext) == 80
    assert cbc_decrypt(key, iv, ciphertext) == plaintext


@given(st.binary(max_size=100))
def test_decryption_undoes_encryption(plaintext: bytes) -> None:
    ciphertext = cbc_encrypt(KEY, IV, plaintext)
    assert len(ciphertext) == (len(plaintext) // BLOCK_BYTES + 1) * BLOCK_BYTES
    assert cbc_decrypt(KEY, IV, ciphertext) == plaintext


@pytest.mark.parametrize("name", [*BAD_PADDING])
def test_bad_padding_is_refused_like_a_bad_mac(name: str) -> None:
    with pytest.raises(AuthenticationFailed) as padding:
        cbc_decrypt(KEY, IV, _encrypt_unpadded(BAD_PADDING[name]))
    with pytest.raises(AuthenticationFailed) as mac:
        verify_mac(bytes(8), KEY, b"mess", b"age")
    assert str(padding.value) == str(mac.value)


@pytest.mark.parametrize("length", [0, 1, 15, 17, 31])
def test_ciphertext_of_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(AuthenticationFailed):
        cbc_decrypt(KEY, IV, bytes(length))


def test_mac_is_the_first_8_bytes_of_hmac_over_all_parts() -> None:
    expected = hmac_sha256(KEY, b"onetwothree")[:8]
    assert compute_mac(KEY, b"onetwo", b"three") == expected
    assert len(expected) == MAC_BYTES
    verify_mac(expected, KEY, b"one", b"twothree")


@pytest.mark.parametrize("bit", range(8 * MAC_BYTES))
def test_mac_with_any_bit_flipped_is_refused(bit: int) -> None:
    mac = bytearray(compute_mac(KEY, b"mess", b"age"))
    mac[bit // 8] ^= 1 << bit % 8
    with pytest.raises(AuthenticationFailed):
        verify_mac(bytes(mac), KEY, b"mess", b"age")


@pytest.mark.parametrize("length", [0, 1, 7, 9, 32])
def test_mac_of_another_length_is_refused(length: int) -> None:
    mac = hmac_sha256(KEY, b"message")[:length]
    with pytest.raises(AuthenticationFailed):
        verify_mac(mac, KEY, b"mess", b"age")


def test_mac_of_other_key_or_message_is_refused() -> None:
    mac = compute_mac(KEY, b"mess", b"age")
    with pytest.raises(AuthenticationFailed):
        verify_mac(mac, b"K" * 32, b"mess", b"age")
    with pytest.raises(AuthenticationFailed):
        verify_mac(mac, KEY, b"mess", b"uge")
