# SPDX-License-Identifier: Apache-2.0
import pickle

import pytest

from e2ecross.crypto.spqr_kdf import AuthKey, EpochSecret
from e2ecross.errors import AuthenticationFailed
from e2ecross.protocol.spqr.authenticator import (
    Authenticator,
    ciphertext_mac,
    first_authenticator,
    header_mac,
    next_authenticator,
    verify_ciphertext,
    verify_header,
)
from tests.support.vectors import component, unhex

VECTOR = component("authenticator")
FIRST = first_authenticator(AuthKey(unhex(VECTOR["auth_key"])))
SECOND = next_authenticator(FIRST, 1, EpochSecret(unhex(VECTOR["secret"])))
HEADER, CIPHERTEXT = unhex(VECTOR["hdr"]), unhex(VECTOR["ct"])


def _keys(auth: Authenticator) -> list[str]:
    return [auth.root.hex(), auth.mac_key.hex()]


def test_the_recorded_keys() -> None:
    assert _keys(FIRST) == VECTOR["after_new"]
    assert _keys(SECOND) == VECTOR["after_update_epoch1"]


def test_the_recorded_macs() -> None:
    assert header_mac(FIRST, 1, HEADER).hex() == VECTOR["mac_hdr_epoch1_after_new"]
    assert ciphertext_mac(SECOND, 1, CIPHERTEXT).hex() == VECTOR["mac_ct_epoch1_after_update"]


def test_the_epoch_counts() -> None:
    other = next_authenticator(FIRST, 2, EpochSecret(unhex(VECTOR["secret"])))
    assert {*_keys(other)}.isdisjoint(_keys(SECOND))
    assert header_mac(FIRST, 2, HEADER) != header_mac(FIRST, 1, HEADER)
    assert ciphertext_mac(FIRST, 2, CIPHERTEXT) != ciphertext_mac(FIRST, 1, CIPHERTEXT)


def test_a_mac_is_verified() -> None:
    header, ciphertext = header_mac(FIRST, 3, HEADER), ciphertext_mac(FIRST, 3, CIPHERTEXT)
    verify_header(FIRST, 3, HEADER, header)
    verify_ciphertext(FIRST, 3, CIPHERTEXT, ciphertext)
    for bad in (b"", header[:31], header[:31] + bytes((header[31] ^ 1,)), ciphertext):
        with pytest.raises(AuthenticationFailed, match="header"):
            verify_header(FIRST, 3, HEADER, bad)
    for bad in (b"", ciphertext[:31], bytes((ciphertext[0] ^ 1,)) + ciphertext[1:], header):
        with pytest.raises(AuthenticationFailed, match="ciphertext"):
            verify_ciphertext(FIRST, 3, CIPHERTEXT, bad)
    for auth, epoch in ((SECOND, 3), (FIRST, 4)):
        with pytest.raises(AuthenticationFailed):
            verify_header(auth, epoch, HEADER, header)
        with pytest.raises(AuthenticationFailed):
            verify_ciphertext(auth, epoch, CIPHERTEXT, ciphertext)


def test_its_keys_are_not_shown() -> None:
    assert repr(FIRST) == "<Authenticator: secret>"
    with pytest.raises(TypeError):
        pickle.dumps(FIRST)
