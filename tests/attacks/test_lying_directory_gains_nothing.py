# SPDX-License-Identifier: Apache-2.0
"""Whoever mixes up whose keys are whose gains no message, and leaves no trace where it is refused.

The attacker: a directory that answers with any mixture of keys, signatures, ids and addresses
(bundle substitution), and Mallory, who registers the keys of others as hers and forwards what is
meant for one person to another (unknown key share). Neither has a private key but their own.
Not shown here because it cannot be prevented: keys of the attacker's own at a first contact. See
docs/security-model.md, Trust on first use.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from e2ecross import Address, Policy, PreKeyBundle, Text
from e2ecross.crypto.xeddsa import sign
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    E2ECrossError,
    EnvelopeMismatch,
    InvalidKey,
    InvalidSignature,
    UnknownPrekey,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.state.context import address_key
from e2ecross.stores import Table
from tests.attacks.hostile_backend import FEW_PREKEYS, NEVER_ASKS, HostileBackend, Party, party
from tests.attacks.support import (
    ANA,
    BUDI,
    NOW_MS,
    TOKO,
    Attacker,
    Person,
    assert_refused,
    meet,
    person,
)

MALLORY = Address("messenger", "mallory")
CITRA = Address("instagram", "citra")
DAY_MS = 24 * 60 * 60 * 1000


# --- Unknown key share ----------------------------------------------------------------------


def test_mallory_registers_anas_keys_as_hers() -> None:
    """Budi writes to Mallory, under Ana's keys. Forwarded to Ana it does not open."""
    ana, budi = person(ANA), person(BUDI)
    for one_time in (True, False):
        budi.device.start_session(replace(ana.bundle(one_time=one_time), address=MALLORY))
        for _ in range(2):
            envelope = budi.device.encrypt(MALLORY, Text("between you and me, Mallory"))
            assert_refused(ana, envelope, EnvelopeMismatch)
            assert_refused(ana, replace(envelope, recipient=ANA), EnvelopeMismatch)
            assert_refused(ana, replace(envelope, recipient=ANA, sender=MALLORY), EnvelopeMismatch)
    assert len(ana.one_time_prekeys()) == 8
    # What users compare binds the accounts: nobody can take one conversation for the other.
    ana.start(budi, one_time=False)
    theirs = ana.device.safety_number(BUDI)
    assert not theirs.matches(budi.device.safety_number(MALLORY).scannable)
    assert theirs.digits != budi.device.safety_number(MALLORY).digits


def test_on_the_raw_layer_it_does_open() -> None:
    """The known limit: without our envelope no address is bound, only the identity keys are."""
    ana, budi = person(ANA), person(BUDI)
    budi.device.start_session(replace(ana.bundle(), address=MALLORY))
    kind, data = budi.device.encrypt_raw(MALLORY, b"between you and me, Mallory")
    assert ana.device.decrypt_raw(BUDI, kind, data) == b"between you and me, Mallory"


def test_anas_messages_do_not_become_mallorys() -> None:
    """Budi knows Ana's identity key as Mallory's; what Ana writes is still not from Mallory."""
    ana, budi = person(ANA), person(BUDI)
    budi.device.start_session(replace(ana.bundle(), address=MALLORY))
    ana.start(budi)
    first = ana.send(budi, "it was me")
    assert_refused(budi, replace(first, sender=MALLORY), EnvelopeMismatch)
    assert budi.read(first) == "it was me"
    assert_refused(budi, replace(first, sender=MALLORY), UnknownPrekey)
    ana.read(budi.send(ana, "fine"))
    later = ana.send(budi, "me again")
    assert_refused(budi, replace(later, sender=MALLORY), AuthenticationFailed)
    assert budi.read(later) == "me again"
    # ... nor do Budi's own words to "Mallory" come back as Ana's or hers.
    own = budi.device.encrypt(MALLORY, Text("hello"))
    assert_refused(budi, replace(own, sender=ANA, recipient=BUDI), UnknownPrekey)
    assert_refused(budi, replace(own, sender=MALLORY, recipient=BUDI), AuthenticationFailed)


@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
def test_mallory_signs_anas_signed_prekey_as_hers(one_time: bool) -> None:
    """A valid bundle, of which nobody has both private keys: nobody reads what is sent to it."""
    ana, budi, mallory = person(ANA), person(BUDI), Attacker()
    bundle = ana.bundle(one_time=one_time)
    with pytest.raises(InvalidSignature):
        budi.device.start_session(
            replace(bundle, address=MALLORY, identity_key=mallory.identity.public)
        )
    signature = sign(mallory.identity, bundle.signed_prekey, mallory.entropy)
    hers = replace(
        bundle,
        address=MALLORY,
        identity_key=mallory.identity.public,
        signed_prekey_signature=signature,
    )
    budi.device.start_session(hers)
    envelope = budi.device.encrypt(MALLORY, Text("hello"))
    assert_refused(ana, replace(envelope, recipient=ANA), AuthenticationFailed)
    before = ana.dump()
    with pytest.raises(AuthenticationFailed):
        ana.device.decrypt_raw(BUDI, envelope.kind, envelope.ciphertext)
    assert ana.dump() == before


# --- Bundle substitution: who is asked for, and whose keys come ---------------------------------


def test_keys_of_citra_as_those_of_budi() -> None:
    """At a first contact Ana cannot know better. Neither Citra nor Budi can be made to read it."""
    ana, budi, citra = person(ANA), person(BUDI), person(CITRA)
    ana.device.start_session(replace(citra.bundle(), address=BUDI))
    envelope = ana.send(budi, "for Budi only")
    assert_refused(budi, envelope, UnknownPrekey)
    assert_refused(citra, envelope, EnvelopeMismatch)
    assert_refused(citra, replace(envelope, recipient=CITRA), EnvelopeMismatch)
    assert len(citra.one_time_prekeys()) == 8


def test_keys_of_citra_as_those_of_budi_who_is_known() -> None:
    ana, budi, citra = person(ANA), person(BUDI), person(CITRA)
    meet(ana, budi)
    before = ana.dump()
    with pytest.raises(UntrustedIdentity):
        ana.device.start_session(replace(citra.bundle(), address=BUDI))
    assert ana.dump() == before
    assert budi.read(ana.send(budi, "goes on")) == "goes on"


def test_a_one_time_prekey_of_somebody_else() -> None:
    """They are not signed: Ana cannot know. Budi refuses, and keeps the one that has the id."""
    ana, budi, citra = person(ANA), person(BUDI), person(CITRA)
    foreign = citra.bundle()
    bundle = budi.bundle()
    for prekey_id, error in (
        (bundle.one_time_prekey_id, AuthenticationFailed),
        (foreign.one_time_prekey_id, UnknownPrekey),
    ):
        ana.device.start_session(
            replace(bundle, one_time_prekey_id=prekey_id, one_time_prekey=foreign.one_time_prekey)
        )
        assert_refused(budi, ana.send(budi, "hello"), error)
    assert len(budi.one_time_prekeys()) == 8
    ana.device.start_session(bundle)
    assert budi.read(ana.send(budi, "hello")) == "hello"


def test_a_one_time_prekey_that_was_used() -> None:
    """It opened one message and is gone: a second first message under it changes nothing."""
    ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    bundle = budi.bundle()
    toko.device.start_session(bundle)
    assert budi.read(toko.send(budi, "the first to come")) == "the first to come"
    ana.device.start_session(bundle)
    assert_refused(budi, ana.send(budi, "too late"), UnknownPrekey)
    # Only a new session helps, and what it needs is not spent.
    ana.start(budi)
    assert budi.read(ana.send(budi, "hello")) == "hello"


def test_a_signed_prekey_that_was_replaced() -> None:
    """Harmless while Budi keeps it; then what is sent to it cannot be read by anybody."""
    ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    old = budi.bundle(one_time=False)
    budi.clock.now_ms = NOW_MS + 8 * DAY_MS
    budi.device.confirm_published(budi.device.publish(0))
    ana.device.start_session(old)
    assert budi.read(ana.send(budi, "to the old one")) == "to the old one"
    budi.clock.now_ms = NOW_MS + 40 * DAY_MS
    budi.device.confirm_published(budi.device.publish(0))
    toko.device.start_session(old)
    assert_refused(budi, toko.send(budi, "too late"), UnknownPrekey)


def test_ids_and_registration_ids_of_others() -> None:
    ana, budi, citra = person(ANA), person(BUDI), person(CITRA)
    bundle, other = budi.bundle(), citra.bundle()
    ana.device.start_session(replace(bundle, signed_prekey_id=other.signed_prekey_id))
    assert_refused(budi, ana.send(budi, "hello"), UnknownPrekey)
    assert bundle.one_time_prekey_id is not None
    ana.device.start_session(replace(bundle, one_time_prekey_id=bundle.one_time_prekey_id + 1))
    assert_refused(budi, ana.send(budi, "hello"), AuthenticationFailed)
    # The registration id has no cryptographic meaning: nothing depends on it.
    ana.device.start_session(replace(bundle, registration_id=other.registration_id))
    assert budi.read(ana.send(budi, "hello")) == "hello"
    assert ana.read(budi.send(ana, "hello to you")) == "hello to you"


# --- Through Client.send --------------------------------------------------------------------


def _scene(policy: Policy = FEW_PREKEYS) -> tuple[HostileBackend, Party, Party, Party]:
    backend = HostileBackend()
    ana = party(ANA, backend, policy=policy)
    return backend, ana, party(BUDI, backend), party(CITRA, backend)


def _swapped(name: str, other: PreKeyBundle) -> Callable[[PreKeyBundle], PreKeyBundle]:
    def lie(bundle: PreKeyBundle) -> PreKeyBundle:
        changes: dict[str, dict[str, object]] = {
            "whole": {},
            "identity": {"identity_key": other.identity_key},
            "signed prekey": {"signed_prekey": other.signed_prekey},
            "signed prekey and signature": {
                "signed_prekey": other.signed_prekey,
                "signed_prekey_signature": other.signed_prekey_signature,
            },
            "one-time prekey as signed prekey": {"signed_prekey": bundle.one_time_prekey},
            "another's address": {"address": other.address},
            "another device": {"address": Address("instagram", "budi", 2)},
            "another app": {"address": Address("messenger", "budi")},
            "low order": {"one_time_prekey": b"\x05" + bytes(32)},
            "no key": {"identity_key": b""},
            "id 0": {"one_time_prekey_id": 0},
        }
        start = other if name == "whole" else bundle
        return replace(start, **changes[name])  # type: ignore[arg-type]

    return lie


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("whole", EnvelopeMismatch),
        ("identity", InvalidSignature),
        ("signed prekey", InvalidSignature),
        ("signed prekey and signature", InvalidSignature),
        ("one-time prekey as signed prekey", InvalidSignature),
        ("another's address", EnvelopeMismatch),
        ("another device", UnknownRecipient),
        ("another app", EnvelopeMismatch),
        ("low order", InvalidKey),
        ("no key", InvalidKey),
        ("id 0", DecodeError),
    ],
)
def test_a_client_sends_nothing_to_keys_that_do_not_fit(
    name: str, error: type[E2ECrossError]
) -> None:
    backend, ana, budi, citra = _scene()
    other = citra.person.device.publish(1)
    citra.person.published = other
    assert ana.client.devices(BUDI.user_id).devices  # his list is genuine, and held
    backend.bundle_lie = _swapped(name, citra.person.bundle(kyber=True))
    before = ana.person.dump()
    for _ in range(2):
        with pytest.raises(error) as caught:
            ana.client.send(BUDI, Text("for Budi only"))
        assert type(caught.value) is error
    assert ana.person.dump() == before, "nor is anything left in the outbox"
    assert backend.deposits == []
    backend.bundle_lie = None
    ana.send(budi, "for Budi only")
    assert budi.receive() == ["for Budi only"]


def test_a_client_sends_nothing_to_another_identity_of_somebody_known() -> None:
    backend, ana, budi, citra = _scene()
    ana.send(budi, "hello")
    assert budi.receive() == ["hello"]
    _forget_sessions(ana.person, BUDI)
    citra.person.published = citra.person.device.publish(1)
    whole = _swapped("whole", replace(citra.person.bundle(kyber=True), address=BUDI))
    backend.bundle_lie = whole
    before, count = ana.person.dump(), len(backend.deposits)
    with pytest.raises(UntrustedIdentity):
        ana.client.send(BUDI, Text("for Budi only"))
    assert ana.person.dump() == before
    assert len(backend.deposits) == count
    backend.bundle_lie = None
    ana.send(budi, "for Budi only")
    assert budi.receive() == ["for Budi only"]


@pytest.mark.parametrize("policy", [NEVER_ASKS, FEW_PREKEYS], ids=["never asks", "asks"])
def test_mallory_forwards_through_the_back_end(policy: Policy) -> None:
    """The whole unknown key share between clients: Ana gets a failure, and it is told as one."""
    backend, ana, budi, _ = _scene(policy)
    mallory = party(MALLORY, backend)
    backend.hides_lists = True  # hers would have her own key in it
    ana.person.published = ana.person.device.publish(2)
    backend.bundle_lie = lambda _: replace(ana.person.bundle(kyber=True), address=MALLORY)
    envelope = budi.send(mallory, "between you and me, Mallory")
    ana.person.device.confirm_published(ana.person.published)
    before = ana.rest()
    backend.plant(ANA, [replace(envelope, recipient=ANA), envelope])
    assert ana.receive() == ["envelope_mismatch", "envelope_mismatch"]
    if policy is NEVER_ASKS:
        assert ana.rest() == before
    ana.assert_only_asked(before)
    assert ana.person.device.remote_identity(BUDI) is None
    assert backend.waiting(BUDI) == []


def test_a_used_one_time_prekey_from_the_back_end() -> None:
    """The same bundle for everybody: the first to come is read, the others fail openly."""
    backend, ana, budi, citra = _scene()
    budi.person.published = budi.person.device.publish(1)
    bundle = budi.person.bundle(kyber=True)
    backend.bundle_lie = lambda _: bundle
    citra.send(budi, "the first to come")
    ana.send(budi, "too late")
    assert budi.receive() == ["the first to come", "unknown_prekey"]
    assert budi.person.device.remote_identity(ANA) is None


def _forget_sessions(who: Person, peer: Address) -> None:
    partition = address_key(peer)
    with who.store.transaction() as tx:
        for row, _ in tx.list(Table.SESSIONS, partition):
            tx.delete(Table.SESSIONS, partition, row)
        tx.delete(Table.SESSION_RECORDS, partition)
