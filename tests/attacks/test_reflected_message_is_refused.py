# SPDX-License-Identifier: Apache-2.0
"""What a device has sent does not open on that device, whoever it claims to be from.

The attacker: a back end that sends your own messages back to you, as the peer's.
"""

from dataclasses import replace

import pytest

from e2ecross import Envelope
from e2ecross.errors import AuthenticationFailed, EnvelopeMismatch, InvalidArgument, UnknownPrekey
from tests.attacks.support import ANA, BUDI, Person, assert_refused, edit_wrapper, meet, person


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
