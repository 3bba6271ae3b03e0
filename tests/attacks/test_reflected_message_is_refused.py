# SPDX-License-Identifier: Apache-2.0
"""What a device has sent does not open on that device, whoever it claims to be from.

The attacker: a back end that sends your own messages back to you, as the peer's.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2ecross import Address, Envelope, MessageKind, Policy
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    EnvelopeMismatch,
    InvalidArgument,
    UnknownPrekey,
    UnknownSession,
)
from tests.attacks.hostile_backend import FEW_PREKEYS, NEVER_ASKS, HostileBackend, party
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Person,
    assert_refused,
    edit_wrapper,
    inner_message,
    meet,
    person,
    rewrap,
    wrapper_fields,
)

pytestmark = pytest.mark.usefixtures("both_versions")
USED = (DuplicateMessage,)
"""In version 4 the number of a post-quantum key may be one that has been used."""


def _reflect(ana: Person, budi: Person, envelope: Envelope) -> None:
    assert_refused(ana, envelope, EnvelopeMismatch)
    assert_refused(ana, replace(envelope, recipient=ANA), EnvelopeMismatch)
    back = replace(envelope, sender=BUDI, recipient=ANA)
    assert_refused(ana, back, AuthenticationFailed)
    before = ana.dump()
    with pytest.raises(AuthenticationFailed):
        ana.device.decrypt_raw(BUDI, envelope.kind, envelope.ciphertext)
    assert ana.dump() == before


def test_a_first_message() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    for _ in range(2):
        envelope = ana.send(budi, "first")
        _reflect(ana, budi, envelope)
        # The base key is one of Ana's own sessions; with Budi's identity beside it, too.
        back = replace(envelope, sender=BUDI, recipient=ANA)
        forged = edit_wrapper(back, identity_key=budi.device.identity_key)
        assert_refused(ana, forged, AuthenticationFailed)
        assert budi.read(envelope) == "first"


def test_a_first_message_to_a_device_that_has_forgotten_it() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False)
    envelope = ana.send(budi, "first")
    fresh = person(ANA)  # the same keys, none of the sessions
    assert fresh.device.identity_key == ana.device.identity_key
    assert_refused(fresh, replace(envelope, sender=BUDI, recipient=ANA), UnknownPrekey)


def test_a_message_of_an_acknowledged_session() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    for _ in range(3):
        envelope = ana.send(budi, "normal")
        _reflect(ana, budi, envelope)
        assert budi.read(envelope) == "normal"
        assert ana.read(budi.send(ana, "reply")) == "reply"


def test_a_session_with_oneself_does_not_exist() -> None:
    ana = person(ANA)
    before = ana.dump()
    with pytest.raises(InvalidArgument):
        ana.device.start_session(ana.bundle())
    with pytest.raises(InvalidArgument):
        ana.send(ana, "to myself")
    assert ana.dump() == before


def test_ones_own_identity_in_anothers_bundle() -> None:
    """A back end that hands out Ana's own keys as Budi's: her messages come back to her alone."""
    ana, budi = person(ANA), person(BUDI)
    own = replace(ana.bundle(one_time=False), address=BUDI)
    ana.device.start_session(own)
    envelope = ana.send(budi, "to whom?")
    assert_refused(ana, envelope, EnvelopeMismatch)
    assert_refused(ana, replace(envelope, sender=BUDI, recipient=ANA), AuthenticationFailed)


def _rewritings(ana: Person, budi: Person, own: Envelope) -> Iterator[Envelope]:
    """Every way to make an own message look like one of somebody else to this device."""
    bodies = [(own.kind, own.ciphertext)]
    if own.kind is MessageKind.PREKEY:
        bodies.append((MessageKind.SIGNAL, inner_message(own)))
        identities = (budi.device.identity_key, ana.published.signed_prekey.public_key)
        edits = [edit_wrapper(own, identity_key=identity) for identity in identities]
        bodies += [(edited.kind, edited.ciphertext) for edited in edits]
        for prekeys in (ana.published, budi.published):
            edited = edit_wrapper(
                own,
                identity_key=budi.device.identity_key,
                signed_pre_key_id=prekeys.signed_prekey.id,
                pre_key_id=prekeys.one_time_prekeys[-1].id,
                registration_id=budi.device.registration_id,
            )
            bodies.append((own.kind, edited.ciphertext))
    senders = [BUDI, TOKO, Address("instagram", "budi", 2), Address("whatsapp", "ana", 2)]
    for kind, ciphertext in bodies:
        for sender in senders:
            for message_id in (own.message_id, bytes(16)):
                yield Envelope(message_id, sender, ANA, kind, ciphertext)


@pytest.mark.parametrize(
    "state", ["pending", "crossing", "acknowledged", "archived", "with a second session"]
)
def test_under_every_rewriting(state: str) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, person(TOKO))
    ana.start(budi)
    if state == "crossing":
        budi.start(ana)
        assert ana.read(budi.send(ana, "crossing")) == "crossing"
    if state in ("acknowledged", "archived", "with a second session"):
        assert budi.read(ana.send(budi, "hello")) == "hello"
        assert ana.read(budi.send(ana, "hello to you")) == "hello to you"
    own = [ana.send(budi, f"own {number}") for number in range(2)]
    if state in ("archived", "with a second session"):
        ana.start(budi)
    if state == "with a second session":
        assert budi.read(ana.send(budi, "in the second")) == "in the second"
        assert ana.read(budi.send(ana, "in the second, too")) == "in the second, too"
        own.append(ana.send(budi, "own"))
    errors = (AuthenticationFailed, EnvelopeMismatch, UnknownPrekey, UnknownSession, *USED)
    for envelope in own:
        for rewritten in _rewritings(ana, budi, envelope):
            assert_refused(ana, rewritten, *errors)
    for envelope in own:
        assert budi.read(envelope).startswith("own")
    assert ana.read(budi.send(ana, "goes on")) == "goes on"


def test_in_the_wrapper_of_a_message_of_the_peers() -> None:
    """Budi's base key and Ana's own message inside: neither session reads it."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    budi.start(ana)
    errors = (AuthenticationFailed, *USED)
    own, genuine = ana.send(budi, "own"), budi.send(ana, "genuine")
    fields = dict(wrapper_fields(genuine)) | {4: inner_message(own)}
    mixed = rewrap(genuine, sorted(fields.items(), key=lambda item: item[0]))
    for message_id in (own.message_id, genuine.message_id):
        assert_refused(ana, replace(mixed, message_id=message_id), *errors)
    assert ana.read(genuine) == "genuine"
    assert_refused(ana, replace(mixed, message_id=own.message_id), *errors)


@pytest.mark.parametrize("policy", [NEVER_ASKS, FEW_PREKEYS], ids=["never asks", "asks"])
@pytest.mark.parametrize("acknowledged", [False, True], ids=["first", "acknowledged"])
def test_through_a_client(acknowledged: bool, policy: Policy) -> None:
    """What Ana has deposited waits in her own mailbox, as it was and rewritten."""
    backend = HostileBackend()
    ana, budi = party(ANA, backend, policy=policy), party(BUDI, backend)
    if acknowledged:
        ana.send(budi, "hello")
        assert budi.receive() == ["hello"]
        budi.send(ana, "hello to you")
        assert ana.receive() == ["hello to you"]
    own = ana.send(budi, "own")
    before = ana.rest()
    mirrored = [own, replace(own, recipient=ANA), replace(own, sender=BUDI, recipient=ANA)]
    backend.plant(ANA, mirrored)
    assert ana.receive() == ["envelope_mismatch", "envelope_mismatch", "authentication_failed"]
    ana.restart()
    backend.plant(ANA, mirrored)
    assert len(ana.receive()) == 3
    if policy is NEVER_ASKS:
        assert ana.rest() == before
    ana.assert_only_asked(before)
    assert budi.receive() == ["own"]
    budi.send(ana, "answer")
    assert ana.receive() == ["answer"]
