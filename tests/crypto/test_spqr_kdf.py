# SPDX-License-Identifier: Apache-2.0
import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.kdf import extract_to_pads, hkdf, hmac_sha256
from e2ecross.crypto.spqr_kdf import LinkKey, derive_epoch_secret, derive_link, derive_next_link
from tests.support.vectors import component, unhex

keys = st.binary(min_size=32, max_size=32)


@given(keys, st.integers(1, 2**32 - 1))
def test_a_link_is_hkdf_under_the_zero_salt(key: bytes, index: int) -> None:
    info = index.to_bytes(4, "big") + b"Signal PQ Ratchet V1 Chain Next"
    okm = hkdf(bytes(32), key, info, 64)
    assert derive_link(LinkKey(key), index) == (okm[:32], okm[32:])
    assert derive_next_link(LinkKey(key), index) == okm[:32]


@given(keys, st.binary(max_size=100))
def test_pads_make_the_hmac_of_what_was_extracted(ikm: bytes, data: bytes) -> None:
    inner, outer = extract_to_pads(ikm)
    mac = hashlib.sha256(outer + hashlib.sha256(inner + data).digest()).digest()
    assert mac == hmac.digest(hmac_sha256(bytes(32), ikm), data, "sha256")


def test_the_recorded_secret_of_an_epoch() -> None:
    item = component("authenticator")["sckey"]
    assert derive_epoch_secret(unhex(item["ss"]), item["epoch"]).hex() == item["out"]
