# SPDX-License-Identifier: Apache-2.0
import copy
import hashlib
import hmac
import pickle

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.kdf import (
    KEY_BYTES,
    ChainKey,
    HmacKey,
    MessageKey,
    MessageKeys,
    RootKey,
    derive_initial_keys,
    derive_message_and_chain_key,
    derive_message_key,
    derive_message_keys,
    derive_next_chain_key,
    derive_root_and_chain_key,
    derive_sender_message_keys,
    hash_base_key,
    hash_kem_ciphertext,
    hkdf,
    hmac_of_parts,
    hmac_sha256,
    hmac_with_key,
    is_equal,
    iterated_sha512,
)
from e2ecross.errors import InvalidArgument
from tests.support.vectors import groups, section, unhex

# RFC 5869 appendix A.1 to A.3: IKM, salt, info, L, OKM.
RFC_5869 = {
    "A.1": (
        "0b" * 22,
        bytes(range(0x0D)).hex(),
        bytes(range(0xF0, 0xFA)).hex(),
        42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    "A.2": (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        82,
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c6"
        "5e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    "A.3": (
        "0b" * 22,
        "",
        "",
        42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
}


@pytest.mark.parametrize("case", [*RFC_5869])
def test_hkdf_of_rfc_5869(case: str) -> None:
    ikm, salt, info, length, okm = RFC_5869[case]
    assert hkdf(unhex(salt), unhex(ikm), unhex(info), length) == unhex(okm)


@given(
    salt=st.binary(max_size=70),
    ikm=st.binary(max_size=200),
    info=st.binary(max_size=40),
    length=st.sampled_from([1, 31, 32, 33, 64, 80, 8160]),
)
def test_hkdf_equals_another_implementation(
    salt: bytes, ikm: bytes, info: bytes, length: int
) -> None:
    other = HKDF(algorithm=SHA256(), length=length, salt=salt, info=info)
    assert hkdf(salt, ikm, info, length) == other.derive(ikm)


def test_no_salt_equals_32_zero_bytes() -> None:
    assert hkdf(b"", b"ikm", b"info", 80) == hkdf(bytes(32), b"ikm", b"info", 80)


# RFC 4231 section 4.3 (test case 2).
def test_hmac_of_rfc_4231() -> None:
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 200))
def test_hmac_put_together_from_hashes_is_hmac(key: bytes, data: bytes, cut: int) -> None:
    expected = hmac.digest(key, data, "sha256")
    assert hmac_with_key(key, data) == expected
    assert hmac_of_parts(key, data[:cut], data[cut:]) == expected
    prepared = HmacKey(key)
    assert [prepared.digest(data), prepared.digest(data)] == [expected, expected]
    assert repr(prepared) == "<HmacKey: secret>"


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_derivations_put_together_from_hashes_are_hkdf(key: bytes, other: bytes) -> None:
    okm = hkdf(bytes(32), key, b"WhisperMessageKeys", 80)
    keys = derive_message_keys(MessageKey(key))
    assert (keys.cipher_key, keys.mac_key, keys.iv) == (okm[:32], okm[32:64], okm[64:])
    okm = hkdf(key, other, b"WhisperRatchet", 64)
    assert derive_root_and_chain_key(RootKey(key), other) == (okm[:32], okm[32:])


@given(st.binary(min_size=32, max_size=32))
def test_both_halves_of_a_step_at_once_are_the_halves(key: bytes) -> None:
    chain = ChainKey(key)
    both = derive_message_key(chain), derive_next_chain_key(chain)
    assert derive_message_and_chain_key(chain) == both


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_gives_no_mac(length: int) -> None:
    with pytest.raises(InvalidArgument, match=f"not {length}"):
        hmac_with_key(bytes(length), b"data")
    with pytest.raises(InvalidArgument, match=f"not {length}"):
        hmac_of_parts(bytes(length), b"da", b"ta")
    with pytest.raises(InvalidArgument, match=f"not {length}"):
        HmacKey(bytes(length))


def test_is_equal() -> None:
    assert is_equal(b"12345678", b"12345678")
    assert not is_equal(b"12345678", b"12345679")
    assert not is_equal(b"12345678", b"1234567")


@pytest.mark.parametrize("index", range(len(section("sessions"))))
def test_keys_of_the_session_vectors(index: int) -> None:
    item = section("sessions")[index]
    master = unhex(item["master_input"])
    assert master[:32] == b"\xff" * 32
    root, chain = derive_initial_keys(master[32:])
    assert (root.hex(), chain.hex()) == (item["root0"], item["chain0"])

    agreement = next(a for a in section("agreement") if a["private"] == "alice_ratchet")
    root, chain = derive_root_and_chain_key(root, unhex(agreement["secret"]))
    assert root.hex() == item["root_after_first_ratchet"]
    assert chain.hex() == item["alice_sending_chain_key_0"]

    for number, expected in enumerate(item["alice_message_keys"]):
        assert expected["counter"] == number
        assert chain.hex() == expected["chain_key"]
        seed = derive_message_key(chain)
        assert seed.hex() == expected["seed"]
        keys = derive_message_keys(seed)
        assert keys.cipher_key.hex() == expected["cipher_key"]
        assert keys.mac_key.hex() == expected["mac_key"]
        assert keys.iv.hex() == expected["iv"]
        chain = derive_next_chain_key(chain)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_every_derivation_gives_a_key_of_its_own(left: bytes, right: bytes) -> None:
    root, chain = derive_root_and_chain_key(RootKey(left), right)
    initial = derive_initial_keys(left + right + left)
    message_keys = derive_message_keys(MessageKey(left))
    values: list[bytes] = [
        root,
        chain,
        *initial,
        derive_message_key(ChainKey(left)),
        derive_next_chain_key(ChainKey(left)),
        message_keys.cipher_key,
        message_keys.mac_key,
    ]
    assert all(len(value) == 32 for value in values)
    assert len(message_keys.iv) == 16
    assert len(set(values)) == len(values)


def test_message_keys_do_not_show_themselves() -> None:
    keys = MessageKeys(b"\xa5" * 32, b"\xb6" * 32, b"\xc7" * 16)
    for shown in (repr(keys), str(keys), f"{keys}"):
        assert shown == "<MessageKeys: secret>"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(keys, protocol)
    with pytest.raises(TypeError, match="not pickled or copied"):
        copy.deepcopy(keys)


def test_base_key_hash_is_16_bytes_under_its_own_prefix() -> None:
    key = b"\x05" + bytes(32)
    expected = hashlib.sha256(b"e2ecross seen base key" + key).digest()[:16]
    assert hash_base_key(key) == expected
    assert hash_base_key(key) != hash_base_key(b"\x05" + b"\1" * 32)


def test_kem_ciphertext_hash_is_16_bytes_under_its_own_prefix() -> None:
    ciphertext = b"\x08" + bytes(1568)
    expected = hashlib.sha256(b"e2ecross used KEM ciphertext" + ciphertext).digest()[:16]
    assert hash_kem_ciphertext(ciphertext) == expected
    assert hash_kem_ciphertext(ciphertext) != hash_kem_ciphertext(ciphertext[:-1] + b"\1")


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_iterated_hash_calls_the_hash_that_often(iterations: int) -> None:
    digest = hashlib.sha512(b"first").digest()
    for _ in range(iterations - 1):
        digest = hashlib.sha512(digest + b"each").digest()
    assert iterated_sha512(b"first", b"each", iterations) == digest


def test_comparison_is_the_constant_time_one(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[bytes, bytes]] = []

    def record(left: bytes, right: bytes) -> bool:
        calls.append((left, right))
        return True

    monkeypatch.setattr(hmac, "compare_digest", record)
    assert is_equal(b"a", b"b")
    assert calls == [(b"a", b"b")]


# --- Sender keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["uuid", "key_id"])
def test_keys_of_group_messages_are_those_of_the_vectors(form: str) -> None:
    for item in groups("sender_keys")[form]["messages"]:
        seed, following = derive_message_and_chain_key(ChainKey(unhex(item["chain_key"])))
        assert seed == unhex(item["seed"])
        keys = derive_sender_message_keys(seed)
        assert (keys.cipher_key.hex(), keys.iv.hex()) == (item["cipher_key"], item["iv"])
        assert len(following) == KEY_BYTES


@given(st.binary(min_size=32, max_size=32))
def test_keys_of_a_group_message_are_hkdf_with_the_iv_first(seed: bytes) -> None:
    keys = derive_sender_message_keys(MessageKey(seed))
    assert keys.iv + keys.cipher_key == hkdf(bytes(32), seed, b"WhisperGroup", 48)
    assert seed.hex() not in repr(keys)
