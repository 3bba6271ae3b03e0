# SPDX-License-Identifier: Apache-2.0
"""An identity key that stands only in a wrapper never becomes anybody's identity key.

The attacker: a back end that puts another identity key into the unauthenticated wrapper of a
genuine prekey message. Deployed peers save it; the message inside opens all the same.
"""

import pytest

from e2ecross import MessageKind
from e2ecross.errors import AuthenticationFailed
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    WRAPPER,
    Attacker,
    Person,
    assert_refused,
    edit_wrapper,
    meet,
    person,
    wrapper_fields,
)

pytestmark = pytest.mark.usefixtures("both_versions")


def _refuse_foreign_identities(budi: Person, envelope_text: str, ana: Person) -> None:
    envelope = ana.send(budi, envelope_text)
    assert envelope.kind is MessageKind.PREKEY
    known = budi.device.remote_identity(ANA)
    foreign = [
        Attacker().identity.public,
        budi.device.identity_key,
        budi.published.signed_prekey.public_key,
        person(TOKO).device.identity_key,
    ]
    for key in foreign:
        forged = edit_wrapper(envelope, identity_key=key)
        assert_refused(budi, forged, AuthenticationFailed)
        before = budi.dump()
        with pytest.raises(AuthenticationFailed):
            budi.device.decrypt_raw(ANA, forged.kind, forged.ciphertext)
        assert budi.dump() == before
    assert budi.device.remote_identity(ANA) == known
    assert budi.read(envelope) == envelope_text


@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
def test_in_a_first_message(one_time: bool) -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=one_time)
    _refuse_foreign_identities(budi, "first", ana)


def test_in_a_repeated_prekey_message() -> None:
    """The base key names a session that we have: its message would open."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    for text in ("first", "second", "third"):
        _refuse_foreign_identities(budi, text, ana)
    assert ana.read(budi.send(ana, "reply")) == "reply"


def test_in_a_prekey_message_of_an_archived_session() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    assert budi.read(ana.send(budi, "first")) == "first"
    late = ana.send(budi, "late")
    ana.start(budi)
    assert budi.read(ana.send(budi, "new session")) == "new session"
    forged = edit_wrapper(late, identity_key=Attacker().identity.public)
    assert_refused(budi, forged, AuthenticationFailed)
    assert budi.read(late) == "late"


def test_in_a_prekey_message_of_a_held_session() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    budi.start(ana)
    for text in ("crossing", "crossing again"):
        _refuse_foreign_identities(budi, text, ana)


def test_an_attacker_with_a_session_of_their_own_cannot_borrow_a_base_key() -> None:
    """Ana's base key, the attacker's identity and message: neither opens."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    ana.start(budi)
    envelope = ana.send(budi, "genuine")
    attacker = Attacker()
    forged = attacker.first_message(budi, ANA)
    base_key = dict(wrapper_fields(envelope))[WRAPPER["base_key"]]
    assert_refused(budi, edit_wrapper(forged, base_key=base_key), AuthenticationFailed)
    assert budi.read(envelope) == "genuine"
    assert_refused(budi, edit_wrapper(forged, base_key=base_key), AuthenticationFailed)
