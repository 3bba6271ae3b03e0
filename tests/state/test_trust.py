# SPDX-License-Identifier: Apache-2.0
"""Trust on first use, changed identities, and safety numbers."""

from dataclasses import replace

import pytest

from e2ecross import (
    Address,
    AnyContent,
    Device,
    Message,
    Policy,
    RemoteIdentity,
    SafetyNumber,
    Text,
    TrustState,
)
from e2ecross.crypto.keys import decode_public_key
from e2ecross.errors import (
    DecodeError,
    IdentityChangedError,
    InvalidArgument,
    NoSession,
    RecordCorrupted,
    UnsupportedVersion,
    UntrustedIdentity,
    VersionDowngrade,
)
from e2ecross.state.context import address_key
from e2ecross.state.trust import (
    accept_by_policy,
    find_identity_record,
    mark_stale,
    note_asked,
    observe_identity,
    require_accepted_identity,
)
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import (
    ANA,
    BUDI,
    NOW_MS,
    TOKO,
    FakeClock,
    Stores,
    dump,
    introduce,
    make_device,
    new_bundle,
    reopen_device,
    say,
    start,
)

REFUSE = Policy(refuse_changed_identity=True)


def reinstalled(address: Address) -> Device:
    """Another device at an address: the user has a new phone, or somebody plays them."""
    return make_device(address, seed="reinstalled")


def changed_pair(
    store: MemoryStore | None = None,
) -> tuple[Device, Device, Device, Message[AnyContent]]:
    """Ana, who knows the old Budi, and has just got a message of the new one."""
    ana, old, new = make_device(ANA, store), make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    start(new, ana)
    message = ana.decrypt(new.encrypt(ANA, Text("new phone")))
    assert isinstance(message, Message)
    return ana, old, new, message


# --- First use ------------------------------------------------------------------------------


def test_nothing_is_known_of_a_stranger() -> None:
    ana = make_device(ANA)
    assert ana.remote_identity(BUDI) is None


def test_the_key_of_the_first_bundle_is_accepted() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    known = ana.remote_identity(BUDI)
    assert known == RemoteIdentity(BUDI, decode_public_key(budi.identity_key), None, False, NOW_MS)
    assert known.trust is TrustState.UNVERIFIED


def test_the_key_of_the_first_message_is_accepted(stores: Stores) -> None:
    ana, budi = make_device(ANA), make_device(BUDI, stores.open("budi"))
    start(ana, budi)
    message = budi.decrypt(ana.encrypt(BUDI, Text("halo")))
    assert not message.identity_changed
    budi = reopen_device(budi, stores.reopen("budi"), "again")
    known = budi.remote_identity(ANA)
    assert known is not None
    assert (known.identity_key, known.pending_key) == (ana.identity_key, None)


# --- A changed key --------------------------------------------------------------------------


def test_a_bundle_under_another_key_starts_no_session() -> None:
    ana, old, new = make_device(ANA), make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    before = dump(ana._context.store)
    with pytest.raises(UntrustedIdentity, match="accept_identity") as caught:
        start(ana, new)
    assert caught.value.code == "untrusted_identity"
    assert (caught.value.address, caught.value.identity_key) == (BUDI, new.identity_key)
    assert dump(ana._context.store) == before
    say(ana, old, "the old one is still there")


def test_after_accepting_the_key_of_a_bundle_the_bundle_starts_a_session() -> None:
    ana, old, new = make_device(ANA), make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    bundle = new_bundle(new)
    with pytest.raises(UntrustedIdentity) as caught:
        ana.start_session(bundle)
    ana.accept_identity(caught.value.address, caught.value.identity_key)
    assert not ana.has_session(BUDI)
    with pytest.raises(NoSession, match=r"instagram:budi.*start_session"):
        ana.encrypt(BUDI, Text("not to the old key"))
    ana.start_session(bundle)
    say(ana, new, "halo")


def test_a_message_under_a_new_key_is_delivered_with_a_flag(stores: Stores) -> None:
    ana = make_device(ANA, stores.open("ana"))
    old, new = make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    start(new, ana)
    for text in ("one", "two"):
        message = ana.decrypt(new.encrypt(ANA, Text(text)))
        assert message.content == Text(text)
        assert message.identity_changed
    ana = reopen_device(ana, stores.reopen("ana"), "again")
    known = ana.remote_identity(BUDI)
    assert known is not None
    assert (known.identity_key, known.pending_key) == (old.identity_key, new.identity_key)
    assert known.trust is TrustState.CHANGED


def test_no_key_may_be_encrypted_to_while_another_waits() -> None:
    ana, _, new, _ = changed_pair()
    with ana._context.store.transaction() as tx, pytest.raises(UntrustedIdentity) as caught:
        require_accepted_identity(tx, BUDI)
    assert (caught.value.address, caught.value.identity_key) == (BUDI, new.identity_key)
    ana.accept_identity(BUDI, new.identity_key)
    with ana._context.store.transaction() as tx:
        assert require_accepted_identity(tx, BUDI) == new.identity_key


def test_nothing_is_encrypted_until_exactly_the_new_key_is_accepted() -> None:
    ana, old, new, _ = changed_pair()
    before = dump(ana._context.store)
    for attempt in (
        lambda: ana.encrypt(BUDI, Text("halo")),
        lambda: ana.encrypt_raw(BUDI, b"halo"),
        lambda: start(ana, new),
        lambda: start(ana, old),
    ):
        with pytest.raises(UntrustedIdentity) as caught:
            attempt()
        assert (caught.value.address, caught.value.identity_key) == (BUDI, new.identity_key)
        assert dump(ana._context.store) == before
    for other in (old, make_device(TOKO)):
        with pytest.raises(InvalidArgument, match="identity_key"):
            ana.accept_identity(BUDI, other.identity_key)
        assert dump(ana._context.store) == before
    ana.accept_identity(BUDI, new.identity_key)
    known = ana.remote_identity(BUDI)
    assert known is not None
    assert (known.identity_key, known.pending_key) == (new.identity_key, None)
    say(ana, new, "halo")
    message = ana.decrypt(new.encrypt(ANA, Text("halo")))
    assert not message.identity_changed


def test_accepting_notes_when_the_new_key_was_first_accepted() -> None:
    clock = FakeClock()
    ana, old, new = make_device(ANA, clock=clock), make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    start(new, ana)
    clock.advance(1000)
    ana.decrypt(new.encrypt(ANA, Text("halo")))
    ana.accept_identity(BUDI, new.identity_key)
    known = ana.remote_identity(BUDI)
    assert known is not None
    assert known.first_seen_at_ms == NOW_MS + 1000


def test_accepting_the_accepted_key_again_changes_nothing() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    ana.mark_verified(BUDI, budi.identity_key)
    before = dump(ana._context.store)
    ana.accept_identity(BUDI, budi.identity_key)
    assert dump(ana._context.store) == before


def test_a_key_of_a_stranger_cannot_be_accepted() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    with pytest.raises(NoSession):
        ana.accept_identity(BUDI, budi.identity_key)
    with pytest.raises(NoSession):
        ana.mark_verified(BUDI, budi.identity_key)
    assert ana.remote_identity(BUDI) is None


def test_a_changed_key_can_be_declined_and_comes_again_with_its_next_session() -> None:
    ana, old, new, _ = changed_pair()
    ana.reject_identity(BUDI, new.identity_key)
    known = ana.remote_identity(BUDI)
    assert known == RemoteIdentity(BUDI, decode_public_key(old.identity_key), None, False, NOW_MS)
    say(ana, old, "to you alone")
    # The declined session still reads, flagged, and is not sent with.
    assert ana.decrypt(new.encrypt(ANA, Text("again"))).identity_changed
    say(ana, old, "to you alone")
    start(new, ana)
    assert ana.decrypt(new.encrypt(ANA, Text("a new session"))).identity_changed
    with pytest.raises(UntrustedIdentity) as caught:
        ana.encrypt(BUDI, Text("secret"))
    assert caught.value.identity_key == new.identity_key


def test_a_stricter_policy_refuses_what_a_laxer_one_has_let_in() -> None:
    store = MemoryStore()
    _, old, new, _ = changed_pair(store)
    late = old.encrypt(ANA, Text("late"))
    strict = Device.open(store, policy=REFUSE)
    before = dump(store)
    with pytest.raises(IdentityChangedError) as caught:
        strict.decrypt(new.encrypt(ANA, Text("again")))
    assert caught.value.identity_key == new.identity_key
    assert dump(store) == before
    assert strict.decrypt(late).content == Text("late")


def test_only_exactly_the_key_that_waits_can_be_declined() -> None:
    store = MemoryStore()
    ana, old, new, _ = changed_pair(store)
    before = dump(store)
    for key in (old.identity_key, ana.identity_key, bytes(33)):
        with pytest.raises(InvalidArgument, match="identity_key"):
            ana.reject_identity(BUDI, key)
    with pytest.raises(NoSession):
        ana.reject_identity(TOKO, new.identity_key)
    assert dump(store) == before
    ana.reject_identity(BUDI, new.identity_key)
    with pytest.raises(InvalidArgument, match="identity_key"):
        ana.reject_identity(BUDI, new.identity_key)


def test_late_messages_of_the_old_identity_still_open_before_and_after_accepting() -> None:
    ana, old, new = make_device(ANA), make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    late = [old.encrypt(ANA, Text(f"late {n}")) for n in range(2)]
    start(new, ana)
    ana.decrypt(new.encrypt(ANA, Text("new phone")))
    # Not accepted yet: the old key is still the accepted one.
    assert not ana.decrypt(late[0]).identity_changed
    ana.accept_identity(BUDI, new.identity_key)
    message = ana.decrypt(late[1])
    assert (message.content, message.identity_changed) == (Text("late 1"), True)
    # It has changed nothing of where we send to.
    known = ana.remote_identity(BUDI)
    assert known is not None
    assert known.pending_key is None
    say(ana, new, "to the new phone")


def test_late_first_messages_of_the_old_identity_do_not_stop_sending_to_the_new_one() -> None:
    ana, old, new = make_device(ANA), make_device(BUDI), reinstalled(BUDI)
    start(old, ana)
    say(old, ana, "first")
    late = old.encrypt(ANA, Text("late"))  # of the session that ana has, not acknowledged yet
    start(new, ana)
    ana.decrypt(new.encrypt(ANA, Text("new phone")))
    ana.accept_identity(BUDI, new.identity_key)
    assert ana.decrypt(late).content == Text("late")
    say(ana, new, "to the new phone")


def test_late_first_messages_of_the_old_identity_leave_an_unanswered_start_as_it_was() -> None:
    ana, old, new = make_device(ANA), make_device(BUDI), reinstalled(BUDI)
    start(old, ana)
    say(old, ana, "first")
    late = old.encrypt(ANA, Text("late"))
    ana.accept_identity(BUDI, new.identity_key)
    start(ana, new)  # the new phone does not have the session yet: messages must go on wrapping
    assert ana.decrypt(late).content == Text("late")
    say(ana, new, "to the new phone")


def test_a_second_new_key_replaces_the_pending_one() -> None:
    ana, _, new, _ = changed_pair()
    third = make_device(BUDI, seed="third")
    start(third, ana)
    assert ana.decrypt(third.encrypt(ANA, Text("yet another"))).identity_changed
    with pytest.raises(InvalidArgument):
        ana.accept_identity(BUDI, new.identity_key)
    ana.accept_identity(BUDI, third.identity_key)
    say(ana, third, "halo")


def test_the_crossing_start_of_a_new_identity_is_answered_in_its_own_session() -> None:
    ana, old, new = make_device(ANA), make_device(BUDI), reinstalled(BUDI)
    start(ana, old)
    ana.encrypt(BUDI, Text("never read: the old phone is gone"))
    start(new, ana)
    assert ana.decrypt(new.encrypt(ANA, Text("new phone"))).identity_changed
    ana.accept_identity(BUDI, new.identity_key)
    say(ana, new, "halo")


def test_the_policy_refuses_a_changed_key_and_keeps_nothing(stores: Stores) -> None:
    ana = make_device(ANA, stores.open("ana"), policy=REFUSE)
    old, new = make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    start(new, ana)
    envelope = new.encrypt(ANA, Text("new phone"))
    before = dump(stores.open("ana"))
    with pytest.raises(IdentityChangedError, match="compare the safety number") as caught:
        ana.decrypt(envelope)
    assert caught.value.code == "identity_changed"
    assert (caught.value.address, caught.value.identity_key) == (BUDI, new.identity_key)
    assert dump(stores.open("ana")) == before
    say(ana, old, "the old one is still there")
    ana.accept_identity(BUDI, new.identity_key)
    assert ana.decrypt(envelope).content == Text("new phone")
    say(ana, new, "halo")


def test_the_policy_does_not_refuse_the_first_key_or_late_messages_of_the_old_one() -> None:
    ana, old = make_device(ANA, policy=REFUSE), make_device(BUDI)
    introduce(old, ana)
    late = old.encrypt(ANA, Text("late"))
    new = reinstalled(BUDI)
    ana.accept_identity(BUDI, new.identity_key)
    assert ana.decrypt(late).content == Text("late")


def test_identities_are_kept_per_device() -> None:
    ana, one = make_device(ANA), make_device(BUDI)
    two = make_device(Address("instagram", "budi", 2))
    start(ana, one)
    start(ana, two)  # another key, and no change
    say(ana, one, "halo")
    say(ana, two, "halo")


# --- Verifying ------------------------------------------------------------------------------


def test_a_compared_key_is_verified_until_it_changes() -> None:
    ana, old, new = make_device(ANA), make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    with pytest.raises(InvalidArgument, match="identity_key"):
        ana.mark_verified(BUDI, new.identity_key)
    ana.mark_verified(BUDI, old.identity_key)
    known = ana.remote_identity(BUDI)
    assert known is not None
    assert known.trust is TrustState.VERIFIED
    start(new, ana)
    ana.decrypt(new.encrypt(ANA, Text("new phone")))
    for device in (old, new):
        with pytest.raises(InvalidArgument, match="identity_key"):
            ana.mark_verified(BUDI, device.identity_key)
    ana.accept_identity(BUDI, new.identity_key)
    known = ana.remote_identity(BUDI)
    assert known is not None
    assert known.trust is TrustState.UNVERIFIED


def test_both_sides_see_the_same_safety_number() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    hers, his = ana.safety_number(BUDI), budi.safety_number(ANA)
    assert isinstance(hers, SafetyNumber)
    assert hers.digits == his.digits
    assert len(hers.digits) == 60
    assert hers.digits.isdecimal()
    assert hers.matches(his.scannable)
    assert his.matches(hers.scannable)
    assert not hers.matches(hers.scannable)


def test_the_safety_number_is_of_accounts_not_of_devices() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    store = MemoryStore()
    second = make_device(Address("whatsapp", "ana", 2), store)
    start(second, budi)
    assert second.safety_number(BUDI).digits != ana.safety_number(BUDI).digits  # another key
    assert ana.safety_number(BUDI).scannable[:2] == b"\x08\x02"


def test_another_person_does_not_match() -> None:
    ana, budi, toko = make_device(ANA), make_device(BUDI), make_device(TOKO)
    introduce(ana, budi)
    introduce(ana, toko)
    assert not ana.safety_number(BUDI).matches(toko.safety_number(ANA).scannable)
    assert ana.safety_number(BUDI).digits != ana.safety_number(TOKO).digits


def test_a_code_of_another_version_or_of_something_else_is_told() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    number, scanned = ana.safety_number(BUDI), budi.safety_number(ANA).scannable
    with pytest.raises(UnsupportedVersion, match="version 3"):
        number.matches(b"\x08\x03" + scanned[2:])
    with pytest.raises(DecodeError):
        number.matches(b"not a safety number")


def test_while_a_key_is_pending_the_safety_number_is_that_of_the_new_key() -> None:
    ana, old, new, _ = changed_pair()
    start(old, ana)
    pending = ana.safety_number(BUDI)
    assert pending.digits == new_number(new)
    ana.accept_identity(BUDI, new.identity_key)
    assert ana.safety_number(BUDI) == pending


def new_number(device: Device) -> str:
    """The digits that this device shows for ana, whose keys every test here shares."""
    return device.safety_number(ANA).digits


# --- Damage ---------------------------------------------------------------------------------


def test_a_key_that_is_none_is_a_damaged_store() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    ((where, record),) = [
        item for item in dump(store).items() if item[0][0] is Table.REMOTE_IDENTITIES
    ]
    with store.transaction() as tx:
        tx.put(*where, record.replace(budi.identity_key, b"\x05" + bytes(32)))
    with pytest.raises(RecordCorrupted, match="damaged"):
        ana.encrypt(BUDI, Text("halo"))


def test_sessions_are_held_against_the_accepted_key_when_sending() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    ((where, record),) = [
        item for item in dump(store).items() if item[0][0] is Table.REMOTE_IDENTITIES
    ]
    with store.transaction() as tx:
        tx.put(*where, record.replace(budi.identity_key, make_device(TOKO).identity_key))
    before = dump(store)
    with pytest.raises(RecordCorrupted, match="another identity"):
        ana.encrypt(BUDI, Text("halo"))
    assert dump(store) == before


# --- Where the policy accepts by itself ------------------------------------------------------

LAX = Policy(accept_changed_identity=True)


def lax_pair(*, verified: bool) -> tuple[Device, Device, Device]:
    """Ana, who accepts changed keys by policy, the Budi whom she knows, and the new one."""
    ana, old, new = make_device(ANA, policy=LAX), make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    if verified:
        ana.mark_verified(BUDI, old.identity_key)
    start(new, ana)
    return ana, old, new


def test_a_lax_policy_accepts_a_changed_key_and_says_so() -> None:
    ana, old, new = lax_pair(verified=False)
    message = ana.decrypt(new.encrypt(ANA, Text("new phone")))
    assert message.identity_changed
    identity = ana.remote_identity(BUDI)
    assert identity is not None
    assert (identity.identity_key, identity.pending_key) == (new.identity_key, None)
    assert (identity.trust, identity.by_policy) == (TrustState.UNVERIFIED, True)
    say(ana, new, "sent at once")
    # Only the first message under it is an event; a late one of the old key is one again.
    assert not ana.decrypt(new.encrypt(ANA, Text("more"))).identity_changed
    assert ana.decrypt(old.encrypt(ANA, Text("late"))).identity_changed
    say(ana, new, "still to the new one")


def test_a_verified_contact_takes_the_user_also_where_the_policy_is_lax() -> None:
    ana, old, new = lax_pair(verified=True)
    message = ana.decrypt(new.encrypt(ANA, Text("new phone")))
    assert message.identity_changed
    identity = ana.remote_identity(BUDI)
    assert identity is not None
    assert (identity.identity_key, identity.pending_key) == (old.identity_key, new.identity_key)
    assert identity.trust is TrustState.CHANGED
    with pytest.raises(UntrustedIdentity):
        ana.encrypt(BUDI, Text("to whom?"))
    ana.accept_identity(BUDI, new.identity_key)
    identity = ana.remote_identity(BUDI)
    assert identity is not None
    assert (identity.trust, identity.by_policy) == (TrustState.UNVERIFIED, False)


def test_a_lax_policy_gives_way_although_ours_is_unanswered() -> None:
    """Our own first message waits; the one that crosses it comes under a new key."""
    ana, old, new = make_device(ANA, policy=LAX), make_device(BUDI), reinstalled(BUDI)
    start(ana, old)
    ana.encrypt(BUDI, Text("never answered"))
    start(new, ana)
    assert ana.decrypt(new.encrypt(ANA, Text("new phone"))).identity_changed
    say(ana, new, "to the new one")


def test_a_bundle_starts_no_session_under_a_changed_key_whatever_the_policy() -> None:
    ana, _, new = lax_pair(verified=False)
    with pytest.raises(UntrustedIdentity) as caught:
        ana.start_session(new_bundle(new))
    ana.accept_identity(BUDI, caught.value.identity_key)
    ana.start_session(new_bundle(new))


@pytest.mark.parametrize("how", ["accepted", "verified"])
def test_what_the_policy_accepted_becomes_the_users_own(how: str) -> None:
    ana, _, new = lax_pair(verified=False)
    ana.decrypt(new.encrypt(ANA, Text("new phone")))
    if how == "accepted":
        ana.accept_identity(BUDI, new.identity_key)
    else:
        ana.mark_verified(BUDI, new.identity_key)
    identity = ana.remote_identity(BUDI)
    assert identity is not None
    assert not identity.by_policy
    assert identity.verified is (how == "verified")


def test_a_policy_cannot_both_refuse_and_accept() -> None:
    with pytest.raises(InvalidArgument, match="refused and accepted"):
        Policy(refuse_changed_identity=True, accept_changed_identity=True)
    with pytest.raises(InvalidArgument, match="accept_changed_identity"):
        Policy(accept_changed_identity=1)  # type: ignore[arg-type]


def test_a_key_of_a_bundle_that_the_policy_accepts_is_new_and_not_verified() -> None:
    clock = FakeClock()
    ana, old, new = make_device(ANA, policy=LAX), make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old)
    clock.advance(1000)
    store, key = ana._context.store, decode_public_key(new.identity_key)
    with store.transaction() as tx:
        assert accept_by_policy(tx, LAX, BUDI, new.identity_key, clock())
    assert ana.remote_identity(BUDI) == RemoteIdentity(
        BUDI, key, None, False, NOW_MS + 1000, by_policy=True
    )


@pytest.mark.parametrize("why", ["policy", "verified", "pending"])
def test_a_policy_that_does_not_accept_changes_nothing_and_says_so(why: str) -> None:
    ana, _, new = lax_pair(verified=why == "verified")
    if why == "pending":
        strict = Device.open(ana._context.store, clock=FakeClock())
        strict.decrypt(new.encrypt(ANA, Text("new phone")))
    store = ana._context.store
    before = dump(store)
    with store.transaction() as tx:
        policy = Policy() if why == "policy" else LAX
        assert not accept_by_policy(tx, policy, BUDI, new.identity_key, NOW_MS)
    assert dump(store) == before


@pytest.mark.parametrize("how", ["accepted", "verified"])
def test_what_the_user_says_of_a_stale_identity_makes_it_current(how: str) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    with ana._context.store.transaction() as tx:
        mark_stale(tx, BUDI)
    stale = ana.remote_identity(BUDI)
    assert stale is not None
    assert stale.stale
    (ana.accept_identity if how == "accepted" else ana.mark_verified)(BUDI, budi.identity_key)
    assert ana.remote_identity(BUDI) == replace(stale, stale=False, verified=how == "verified")


def test_the_raw_layer_notes_when_a_key_was_first_seen() -> None:
    clock = FakeClock()
    clock.advance(5)
    ana, budi = make_device(ANA), make_device(BUDI, clock=clock)
    start(ana, budi)
    budi.decrypt_raw(ANA, *ana.encrypt_raw(BUDI, b"halo"))
    known = budi.remote_identity(ANA)
    assert known is not None
    assert known.first_seen_at_ms == NOW_MS + 5


@pytest.mark.parametrize("starts_session", [False, True])
@pytest.mark.parametrize("asked_at_ms", [0, NOW_MS])
@pytest.mark.parametrize("stale", [False, True])
def test_a_message_under_the_accepted_key_confirms_it_if_it_starts_a_session(
    stale: bool, asked_at_ms: int, starts_session: bool
) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    known = ana.remote_identity(BUDI)
    assert known is not None
    with ana._context.store.transaction() as tx:
        if stale:
            mark_stale(tx, BUDI)
        if asked_at_ms:
            note_asked(tx, BUDI, asked_at_ms)
        assert not observe_identity(
            *(tx, BUDI, find_identity_record(tx, address_key(BUDI))),
            *(known.identity_key, Policy(), NOW_MS + 1),
            starts_session=starts_session,
        )
    expected = replace(known, stale=stale and not starts_session)
    assert ana.remote_identity(BUDI) == expected


@pytest.mark.parametrize("method", ["accept_identity", "reject_identity", "mark_verified"])
def test_a_decision_names_what_is_wrong_with_it(method: str) -> None:
    ana, _, new, _ = changed_pair()
    key = new.identity_key
    before = ana.remote_identity(BUDI)
    for identity_key in (key[:-1], key + b"\0", b"", "x" * 33, None):
        with pytest.raises(InvalidArgument, match=r"^identity_key must"):
            getattr(ana, method)(BUDI, identity_key)
    for address in ("budi", "instagram:budi.2", 5, None):
        with pytest.raises(InvalidArgument, match=r"^address "):
            getattr(ana, method)(address, key)
    assert ana.remote_identity(BUDI) == before


def test_a_key_that_comes_with_a_message_is_dated_by_the_clock() -> None:
    clock = FakeClock()
    ana, budi = make_device(ANA, clock=clock), make_device(BUDI)
    start(budi, ana)
    clock.advance(5)
    ana.decrypt(budi.encrypt(ANA, Text("first")))
    identity = ana.remote_identity(BUDI)
    assert identity is not None
    assert identity.first_seen_at_ms == clock.now_ms
    with pytest.raises(InvalidArgument, match=r"^address must"):
        ana.session_info("instagram:budi")  # type: ignore[arg-type]


def test_a_new_key_does_not_make_an_older_version_of_the_protocol_acceptable() -> None:
    """Else whoever brings up another key could also take out its post-quantum keys."""
    ana, old, new = make_device(ANA), make_device(BUDI), reinstalled(BUDI)
    introduce(ana, old, kyber=True)
    with pytest.raises(UntrustedIdentity):
        start(ana, new, kyber=True)
    ana.accept_identity(BUDI, new.identity_key)
    with pytest.raises(VersionDowngrade, match="version 3"):
        start(ana, new)
    start(ana, new, kyber=True)
    say(ana, new, "with them")
