# SPDX-License-Identifier: Apache-2.0
"""Under one base key there is one session, whatever version a contact claims for a second one.

The attacker: a contact who starts sessions of versions 3 and 4 under one base key. Rows of sessions
are found by it: the second would take the first one's rows, whose keys would then come back.
"""

import os
from dataclasses import replace

import pytest

from e2ecross import Envelope, Policy, Text
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import AuthenticationFailed
from e2ecross.protocol.session import session_encrypt
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.wire.content import Payload, encode_payload
from e2ecross.wire.service_id import encode_addresses
from tests.attacks.support import ANA, BUDI, assert_refused, person

ANY_VERSION = Policy(minimum_version=3, accept_version_downgrade=True)


class FixedFirst:
    """Entropy whose first key is given."""

    def __init__(self, first: bytes) -> None:
        self._first = [first]

    def bytes(self, length: int) -> bytes:
        return self._first.pop() if self._first else os.urandom(length)

    encapsulate = staticmethod(SYSTEM_ENTROPY.encapsulate)


@pytest.mark.parametrize("versions", [(4, 3), (3, 4)])
def test_two_versions_under_one_base_key(versions: tuple[int, int]) -> None:
    budi = person(BUDI, policy=ANY_VERSION)
    identity, base_key = generate_key_pair(SYSTEM_ENTROPY), os.urandom(32)
    sent = []
    for version in versions:
        bundle = budi.bundle(kyber=True)
        if version == 3:
            bundle = replace(
                bundle, kyber_prekey_id=None, kyber_prekey=None, kyber_prekey_signature=None
            )
        session = initiate_session(identity, verify_bundle(bundle), FixedFirst(base_key), 0)
        payload = Payload(ANA, BUDI, os.urandom(16), 5, 1, Text(f"version {version}"))
        addresses = encode_addresses(ANA.user, ANA.device, BUDI.user, BUDI.device)
        _, kind, data = session_encrypt(
            session, encode_payload(payload), 5, SYSTEM_ENTROPY, addresses
        )
        sent.append(Envelope(payload.message_id, ANA, BUDI, kind, data))
    assert budi.read(sent[0]) == f"version {versions[0]}"
    assert_refused(budi, sent[1], AuthenticationFailed)
    budi.reload()
    assert_refused(budi, sent[1], AuthenticationFailed)
