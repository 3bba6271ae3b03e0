# SPDX-License-Identifier: Apache-2.0
"""One base key names one session: no second one is started under it, of whichever version.

The attacker: a contact with a client of their own making, who uses one base key for sessions of
both versions, with prekeys of their own for each. What is stored of a session is found by its base
key: the second one would overwrite the first, whose messages would then be read again and again.
"""

import pytest

from e2ecross import Envelope, Policy, Text
from e2ecross.crypto.keys import KeyPair, PublicKey, generate_key_pair
from e2ecross.errors import AuthenticationFailed, DuplicateMessage
from e2ecross.protocol.session import Session, session_encrypt
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.state.context import address_key
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table
from e2ecross.wire.content import encode_payload
from e2ecross.wire.service_id import encode_addresses
from tests.attacks.support import (
    BUDI,
    NOW_MS,
    TOKO,
    Person,
    assert_refused,
    payload_for,
    person,
)
from tests.support.entropy import SeededEntropy

BOTH = Policy(minimum_version=3, accept_version_downgrade=True)
BASE = SeededEntropy("base key").bytes(32)
"""The private base key that is used again and again."""


class _Repeating(SeededEntropy):
    """Draws the base key first, and everything else afresh."""

    def __init__(self, seed: str, first: bytes) -> None:
        super().__init__(seed)
        self.first = [first]

    def bytes(self, length: int) -> bytes:
        return self.first.pop() if self.first else super().bytes(length)


class _Contact:
    """Toko, who starts sessions as they like."""

    def __init__(self, victim: Person) -> None:
        self.victim = victim
        self.started = 0
        self.entropy = SeededEntropy("contact")
        self.identity: KeyPair = generate_key_pair(self.entropy)

    def start(self, version: int, base: bytes = BASE, *, one_time: bool = True) -> Session:
        bundle = self.victim.bundle(one_time=one_time, kyber=version == 4)
        self.started += 1
        entropy = _Repeating(f"session {self.started}", base)
        return initiate_session(self.identity, verify_bundle(bundle), entropy, NOW_MS)

    def seal(self, session: Session, text: str) -> tuple[Session, Envelope]:
        payload = payload_for(TOKO, BUDI, Text(text))
        addresses = encode_addresses(TOKO.user, TOKO.device, BUDI.user, BUDI.device)
        advanced, kind, data = session_encrypt(
            session, encode_payload(payload), payload.registration_id, self.entropy, addresses
        )
        return advanced, Envelope(payload.message_id, TOKO, BUDI, kind, data)


def _sessions(victim: Person) -> list[PublicKey]:
    with victim.store.transaction() as tx:
        return [PublicKey(row) for row, _ in tx.list(Table.SESSIONS, address_key(TOKO))]


@pytest.fixture(params=["memory", "file"])
def budi(request: pytest.FixtureRequest, tmp_path: object) -> Person:
    store: Store = MemoryStore()
    if request.param == "file":
        store = SQLiteStore(f"{tmp_path}/budi.db")
    return person(BUDI, store=store, policy=BOTH)


@pytest.mark.parametrize("order", [(3, 4), (4, 3), (3, 3), (4, 4)])
@pytest.mark.parametrize("one_time", [True, False])
@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("answered", [False, True])
def test_a_second_session_under_it(
    budi: Person, order: tuple[int, int], one_time: bool, archived: bool, answered: bool
) -> None:
    """Also where Budi has answered: only then may a message come under a new ratchet key."""
    toko = _Contact(budi)
    first = toko.start(order[0], one_time=one_time)
    first, envelope = toko.seal(first, "first")
    assert budi.read(envelope) == "first"
    if answered:
        budi.device.encrypt(TOKO, Text("never delivered"))
    if archived:
        _, between = toko.seal(toko.start(4, bytes(range(32))), "of another session")
        assert budi.read(between) == "of another session"
    _, second = toko.seal(toko.start(order[1], one_time=one_time), "second")
    assert_refused(budi, second, AuthenticationFailed)
    # The session that there is goes on, and reads each message once, also after a restart.
    first, envelope = toko.seal(first, "pay 100")
    budi.reload()
    assert budi.read(envelope) == "pay 100"
    for _ in range(3):
        assert_refused(budi, envelope, DuplicateMessage)
    assert len(_sessions(budi)) == 1 + archived
    assert budi.device.encrypt(TOKO, Text("answer")).ciphertext[0] >> 4 == order[0]


def test_the_newest_session_is_not_lost() -> None:
    """The one that is sent with stays the one that was started last, and of its version."""
    budi = person(BUDI, policy=BOTH)
    toko = _Contact(budi)
    _, envelope = toko.seal(toko.start(3), "first")
    assert budi.read(envelope) == "first"
    _, envelope = toko.seal(toko.start(4), "second")
    assert_refused(budi, envelope, AuthenticationFailed)
    _, envelope = toko.seal(toko.start(4, bytes(range(32))), "under a base key of its own")
    assert budi.read(envelope) == "under a base key of its own"
    budi.reload()
    assert budi.device.encrypt(TOKO, Text("answer")).ciphertext[0] >> 4 == 4
    assert len(_sessions(budi)) == 2
