# SPDX-License-Identifier: Apache-2.0
"""Nothing is encrypted to a changed identity key before the user has accepted exactly that key.

The attacker: a back end that hands out bundles of its own, and sends first messages under its own
identity key in somebody's name. (A reinstalled app looks the same: only the users can tell.)
"""

from collections.abc import Callable

import pytest

from e2ecross import Device, Envelope, Policy, Text, TrustState
from e2ecross.errors import (
    AuthenticationFailed,
    IdentityChangedError,
    InvalidArgument,
    NoSession,
    UntrustedIdentity,
)
from e2ecross.protocol import ratchet
from e2ecross.protocol.session import session_encrypt
from e2ecross.wire.content import encode_payload
from e2ecross.wire.limits import MAX_ARCHIVED_SESSIONS
from tests.attacks.support import (
    ANA,
    BUDI,
    Attacker,
    Person,
    assert_refused,
    meet,
    payload_for,
    person,
)
from tests.support.entropy import NO_ENTROPY


def _assert_untrusted(who: Person, key: bytes, *calls: Callable[[], object]) -> None:
    """Each call is refused, names address and key, and changes nothing."""
    before = who.dump()
    for call in calls:
        with pytest.raises(UntrustedIdentity) as caught:
            call()
        assert (caught.value.address, caught.value.identity_key) == (BUDI, key)
    assert who.dump() == before


def _sends(who: Person) -> tuple[Callable[[], object], ...]:
    return (
        lambda: who.device.encrypt(BUDI, Text("secret")),
        lambda: who.device.encrypt_raw(BUDI, b"secret"),
        lambda: _send_to_many(who),
    )


def _send_to_many(who: Person) -> None:
    (result,) = who.device.encrypt_many([BUDI], Text("secret"))
    if isinstance(result, Exception):
        raise result


@pytest.fixture
def encrypted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every plaintext that is encrypted."""
    plaintexts: list[bytes] = []
    genuine: Callable[[bytes, bytes, bytes], bytes] = vars(ratchet)["cbc_encrypt"]

    def spy(cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        plaintexts.append(plaintext)
        return genuine(cipher_key, iv, plaintext)

    monkeypatch.setattr(ratchet, "cbc_encrypt", spy)
    return plaintexts


def test_a_bundle_with_another_key_starts_no_session(encrypted: list[bytes]) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    encrypted.clear()
    attacker = Attacker()
    bundle = attacker.bundle(BUDI)
    _assert_untrusted(ana, attacker.identity.public, lambda: ana.device.start_session(bundle))
    assert encrypted == []
    # The old session goes on: nothing was replaced.
    assert budi.read(ana.send(budi, "to you alone")) == "to you alone"
    # Also when no message was ever exchanged, and the first bundle alone was seen.
    cara = person(ANA, installation="cara")
    cara.start(budi)
    _assert_untrusted(cara, attacker.identity.public, lambda: cara.device.start_session(bundle))


def test_a_first_message_under_another_key_is_flagged_and_blocks_sending(
    encrypted: list[bytes],
) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    attacker = Attacker()
    encrypted.clear()
    message = ana.device.decrypt(attacker.first_message(ana, BUDI))
    assert message.identity_changed
    identity = ana.device.remote_identity(BUDI)
    assert identity is not None
    assert identity.trust is TrustState.CHANGED
    assert identity.identity_key == budi.device.identity_key
    assert identity.pending_key == attacker.identity.public
    encrypted.clear()
    _assert_untrusted(
        ana,
        attacker.identity.public,
        *_sends(ana),
        lambda: ana.device.start_session(budi.bundle()),
        lambda: ana.device.start_session(attacker.bundle(BUDI)),
    )
    ana.reload()
    _assert_untrusted(ana, attacker.identity.public, *_sends(ana))
    assert encrypted == []


def test_only_exactly_that_key_is_accepted() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    attacker, other = Attacker(), Attacker("other")
    ana.device.decrypt(attacker.first_message(ana, BUDI))
    before = ana.dump()
    for key in (other.identity.public, ana.device.identity_key, budi.published.signed_prekey):
        with pytest.raises(InvalidArgument):
            ana.device.accept_identity(BUDI, key)  # type: ignore[arg-type]
    assert ana.dump() == before
    _assert_untrusted(ana, attacker.identity.public, *_sends(ana))
    # What the user was shown is no longer what waits: a third key has come.
    ana.device.decrypt(other.first_message(ana, BUDI))
    before = ana.dump()
    with pytest.raises(InvalidArgument):
        ana.device.accept_identity(BUDI, attacker.identity.public)
    assert ana.dump() == before
    _assert_untrusted(ana, other.identity.public, *_sends(ana))


def test_after_acceptance_everything_goes_to_the_new_key_and_is_not_verified() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    ana.device.mark_verified(BUDI, budi.device.identity_key)
    again = person(BUDI, installation="again")
    again.start(ana)
    assert ana.device.decrypt(again.send(ana, "new phone")).identity_changed
    ana.device.accept_identity(BUDI, again.device.identity_key)
    identity = ana.device.remote_identity(BUDI)
    assert identity is not None
    assert identity.trust is TrustState.UNVERIFIED
    to_new = ana.send(again, "to the new phone")
    assert again.read(to_new) == "to the new phone"
    # The old phone cannot read it.
    assert_refused(budi, to_new, AuthenticationFailed)


def test_late_messages_of_the_old_session_still_open_and_change_nothing_of_trust() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    late = [budi.send(ana, str(number)) for number in range(3)]
    again = person(BUDI, installation="again")
    again.start(ana)
    ana.device.decrypt(again.send(ana, "new phone"))
    waiting = ana.device.remote_identity(BUDI)
    # While the new key waits the old one is still the accepted one: no flag.
    assert ana.read(late[0]) == "0"
    assert ana.device.remote_identity(BUDI) == waiting
    _assert_untrusted(ana, again.device.identity_key, *_sends(ana))
    ana.device.accept_identity(BUDI, again.device.identity_key)
    accepted = ana.device.remote_identity(BUDI)
    message = ana.device.decrypt(late[1])
    assert message.identity_changed
    assert message.content == Text("1")
    assert ana.device.remote_identity(BUDI) == accepted
    # And what is sent next does not go to the old key.
    assert again.read(ana.send(again, "still to the new phone")) == "still to the new phone"
    assert ana.device.decrypt(late[2]).identity_changed


def _old_first_messages() -> tuple[Person, Person, Person, list[Envelope]]:
    """Ana has accepted Budi's second phone; prekey messages of the first one are still to come."""
    ana, budi = person(ANA), person(BUDI)
    budi.start(ana)
    old = [budi.send(ana, str(number)) for number in range(3)]
    assert ana.read(old[0]) == "0"
    again = person(BUDI, installation="again")
    again.start(ana)
    assert ana.device.decrypt(again.send(ana, "new phone")).identity_changed
    ana.device.accept_identity(BUDI, again.device.identity_key)
    return ana, budi, again, old


def test_late_prekey_messages_of_the_old_session_do_not_bring_it_back() -> None:
    """Held back by the back end, they must not talk the user into the old key again."""
    ana, _, again, old = _old_first_messages()
    accepted = ana.device.remote_identity(BUDI)
    assert ana.device.decrypt(old[1]).identity_changed
    assert ana.device.remote_identity(BUDI) == accepted
    assert again.read(ana.send(again, "still to the new phone")) == "still to the new phone"


def test_late_prekey_messages_do_not_bring_it_back_where_no_session_is_left() -> None:
    """Accepted from a bundle: no session of the new key exists, and an old one is not one."""
    ana, budi = person(ANA), person(BUDI)
    budi.start(ana)
    old = [budi.send(ana, str(number)) for number in range(2)]
    assert ana.read(old[0]) == "0"
    again = person(BUDI, installation="again")
    with pytest.raises(UntrustedIdentity):
        ana.start(again)
    ana.device.accept_identity(BUDI, again.device.identity_key)
    assert not ana.device.has_session(BUDI)
    assert ana.device.decrypt(old[1]).identity_changed
    assert not ana.device.has_session(BUDI)
    with pytest.raises(NoSession):
        ana.device.encrypt(BUDI, Text("secret"))


def test_a_policy_that_refuses_changed_identities() -> None:
    ana, budi = person(ANA, policy=Policy(refuse_changed_identity=True)), person(BUDI)
    meet(ana, budi)
    attacker = Attacker()
    error = assert_refused(ana, attacker.first_message(ana, BUDI), IdentityChangedError)
    assert isinstance(error, IdentityChangedError)
    assert (error.address, error.identity_key) == (BUDI, attacker.identity.public)
    # Sending was never blocked: nothing waits to be accepted.
    assert budi.read(ana.send(budi, "to you alone")) == "to you alone"
    # The raw layer refuses as well.
    forged = attacker.first_message(ana, BUDI)
    before = ana.dump()
    with pytest.raises(IdentityChangedError):
        ana.device.decrypt_raw(BUDI, forged.kind, forged.ciphertext)
    assert ana.dump() == before
    # And the user can still accept exactly that key.
    again = person(BUDI, installation="again")
    again.start(ana)
    first = again.send(ana, "new phone")
    assert_refused(ana, first, IdentityChangedError)
    ana.device.accept_identity(BUDI, again.device.identity_key)
    assert ana.read(first) == "new phone"


def test_the_raw_layer_notices_it_too() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    attacker = Attacker()
    forged = attacker.first_message(ana, BUDI)
    ana.device.decrypt_raw(BUDI, forged.kind, forged.ciphertext)
    _assert_untrusted(ana, attacker.identity.public, *_sends(ana))


def test_the_first_key_ever_seen_is_told_to_the_user_as_the_accepted_one() -> None:
    """Trust on first use: there is nothing to compare with, and the safety number shows it."""
    ana, attacker = person(ANA), Attacker()
    message = ana.device.decrypt(attacker.first_message(ana, BUDI))
    assert not message.identity_changed
    identity = ana.device.remote_identity(BUDI)
    assert identity is not None
    assert identity.trust is TrustState.UNVERIFIED
    budi = person(BUDI)
    _assert_untrusted(
        ana, budi.device.identity_key, lambda: ana.device.start_session(budi.bundle())
    )
    budi.device.start_session(ana.bundle())
    mine, theirs = ana.device.safety_number(BUDI), budi.device.safety_number(ANA)
    assert mine.digits != theirs.digits
    assert not mine.matches(theirs.scannable)


def test_a_held_session_of_another_identity_is_never_given_way_to() -> None:
    """The stay rule counts messages of the attacker's session; eight of them change nothing."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    attacker = Attacker()
    session = attacker.session(ana.bundle())
    payload = payload_for(BUDI, ANA)
    for _ in range(10):
        session, kind, data = session_encrypt(session, encode_payload(payload), 1, NO_ENTROPY)
        envelope = Envelope(payload.message_id, BUDI, ANA, kind, data)
        assert ana.device.decrypt(envelope).identity_changed
    _assert_untrusted(ana, attacker.identity.public, *_sends(ana))
    ana.device.reject_identity(BUDI, attacker.identity.public)
    assert budi.read(ana.send(budi, "to you alone")) == "to you alone"


def test_a_rejected_key_stays_rejected() -> None:
    """Later messages of the attacker's session are flagged, and nothing is ever sent with it."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    attacker = Attacker()
    session, payload = attacker.session(ana.bundle()), payload_for(BUDI, ANA)
    forged = []
    for _ in range(3):
        session, kind, data = session_encrypt(session, encode_payload(payload), 1, NO_ENTROPY)
        forged.append(Envelope(payload.message_id, BUDI, ANA, kind, data))
    assert ana.device.decrypt(forged[0]).identity_changed
    before = ana.dump()
    for key in (budi.device.identity_key, Attacker("other").identity.public):
        with pytest.raises(InvalidArgument):
            ana.device.reject_identity(BUDI, key)
    assert ana.dump() == before
    ana.device.reject_identity(BUDI, attacker.identity.public)
    assert budi.read(ana.send(budi, "to you alone")) == "to you alone"
    known = ana.device.remote_identity(BUDI)
    for envelope in forged[1:]:
        assert ana.device.decrypt(envelope).identity_changed
        assert ana.device.remote_identity(BUDI) == known
        assert budi.read(ana.send(budi, "still to you alone")) == "still to you alone"
    ana.device.decrypt(attacker.first_message(ana, BUDI))
    _assert_untrusted(ana, attacker.identity.public, *_sends(ana))


def test_after_a_rejection_an_unanswered_session_is_not_sent_with() -> None:
    """Forged first messages have archived it, so it no longer carries its prekeys: it is dead."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    ana.send(budi, "lost on the way")
    attacker = Attacker()
    for _ in range(2):
        assert ana.device.decrypt(attacker.first_message(ana, BUDI)).identity_changed
    ana.device.reject_identity(BUDI, attacker.identity.public)
    for send in _sends(ana):
        with pytest.raises(NoSession):
            send()
    ana.start(budi)
    assert budi.read(ana.send(budi, "hello")) == "hello"


def test_after_going_back_to_an_old_key_its_unanswered_session_is_not_sent_with() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    ana.send(budi, "lost on the way")
    again = person(BUDI, installation="again")
    again.start(ana)
    assert ana.device.decrypt(again.send(ana, "new phone")).identity_changed
    ana.device.accept_identity(BUDI, again.device.identity_key)
    ana.device.accept_identity(BUDI, budi.device.identity_key)
    for send in _sends(ana):
        with pytest.raises(NoSession):
            send()
    ana.start(budi)
    assert budi.read(ana.send(budi, "hello")) == "hello"


def test_forged_first_messages_do_not_push_out_the_genuine_session() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    late = budi.send(ana, "late")
    attacker = Attacker()
    for _ in range(MAX_ARCHIVED_SESSIONS + 1):
        assert ana.device.decrypt(attacker.first_message(ana, BUDI, one_time=False))
    assert ana.read(late) == "late"


def test_every_way_out_was_tried() -> None:
    """`Device` has no other method that encrypts: this list of its methods is up to date."""
    encrypting = {"encrypt", "encrypt_many", "encrypt_raw"}
    # To nobody's identity: to all who were given a key, and given it through one of those.
    in_groups = {
        "decrypt_group_raw",
        "distribution_raw",
        "encrypt_group_raw",
        "new_sender_key_raw",
        "process_distribution_raw",
    }
    public = {name for name in dir(Device) if not name.startswith("_")}
    assert public == encrypting | in_groups | {
        "accept_identity",
        "address",
        "confirm_published",
        "create",
        "decrypt",
        "decrypt_many",
        "decrypt_raw",
        "export_identity",
        "has_session",
        "identity_key",
        "import_identity",
        "mark_verified",
        "open",
        "publish",
        "registration_id",
        "reject_identity",
        "remote_identity",
        "restore_stripes",
        "safety_number",
        "session_info",
        "start_session",
    }
