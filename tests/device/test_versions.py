# SPDX-License-Identifier: Apache-2.0
"""Which version of the protocol a session has, and what must not be taken for another."""

from dataclasses import replace
from uuid import UUID

import pytest

from e2ecross import Address, Device, Policy, Text
from e2ecross.device.bundles import NO_NEWS, start_from_bundles
from e2ecross.device.collecting import take_in
from e2ecross.errors import (
    AuthenticationFailed,
    E2ECrossError,
    StoreTooNew,
    UnknownPrekey,
    VersionDowngrade,
)
from e2ecross.protocol.spqr.state import Negotiation
from e2ecross.state.context import address_key
from e2ecross.state.session_store import read_sessions
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    bundle_from,
    dump,
    introduce,
    make_device,
    new_bundle,
    reopen_device,
    say,
    start,
)

# --- An older version than is demanded, or than was offered -------------------------------------


def test_a_client_starts_no_session_of_an_older_version_than_it_demands() -> None:
    """Of either end: from a bundle, and with a first message."""
    ana, budi = make_device(ANA), make_device(BUDI)
    before = dump(ana._context.store)
    (error,) = start_from_bundles(ana._context, [new_bundle(budi)])
    assert isinstance(error, VersionDowngrade)
    assert "version 4 of the protocol is demanded" in str(error)
    assert dump(ana._context.store) == before
    start(ana, budi)
    first = ana.encrypt(BUDI, Text("halo")).encode()
    before = dump(budi._context.store)
    with pytest.raises(VersionDowngrade, match="is version 3"):
        take_in(budi._context, 1, first)
    assert dump(budi._context.store) == before


def test_where_the_policy_is_content_with_version_3_it_is_spoken() -> None:
    policy = Policy(minimum_version=3)
    ana, budi = make_device(ANA, policy=policy), make_device(BUDI, policy=policy)
    start_from_bundles(ana._context, [new_bundle(budi)])
    take_in(budi._context, 1, ana.encrypt(BUDI, Text("halo")).encode())
    say(budi, ana, "answer")


def test_who_has_offered_version_4_is_not_written_to_in_version_3() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi, kyber=True)
    stripped = new_bundle(budi)
    before = dump(ana._context.store)
    with pytest.raises(VersionDowngrade, match="has offered a newer version"):
        ana.start_session(stripped)
    assert dump(ana._context.store) == before
    lax = Device.open(
        ana._context.store, policy=Policy(accept_version_downgrade=True), clock=ana._context.clock
    )
    lax.start_session(stripped)
    assert lax.encrypt(BUDI, Text("halo")).ciphertext[0] >> 4 == 3


def test_a_first_message_of_version_3_of_who_has_offered_version_4_is_refused() -> None:
    ana, budi = make_device(ANA, policy=Policy(accept_version_downgrade=True)), make_device(BUDI)
    introduce(ana, budi, kyber=True)
    start(ana, budi)
    first = ana.encrypt(BUDI, Text("halo"))
    before = dump(budi._context.store)
    with pytest.raises(VersionDowngrade, match="has offered a newer version"):
        budi.decrypt(first)
    assert dump(budi._context.store) == before


# --- One base key, one session ------------------------------------------------------------------


@pytest.mark.parametrize("versions", [(3, 4), (4, 3)])
def test_a_base_key_that_is_used_again_for_another_version_starts_nothing(
    versions: tuple[int, int],
) -> None:
    """Both devices draw the same: a copy of one store, used twice."""
    budi = make_device(BUDI, policy=Policy(accept_version_downgrade=True))
    one, other = make_device(ANA), make_device(ANA)
    for device, version in zip((one, other), versions, strict=True):
        start(device, budi, kyber=version == 4)
    say(one, budi, "first")
    second = other.encrypt(BUDI, Text("second"))
    before = dump(budi._context.store)
    with pytest.raises(AuthenticationFailed, match="of another version"):
        budi.decrypt(second)
    assert dump(budi._context.store) == before
    say(budi, one, "answer")
    say(one, budi, "goes on")


# --- Prekeys, and names, of version 4 -----------------------------------------------------------


def test_a_first_message_to_a_kyber_prekey_that_is_gone_is_refused() -> None:
    """Without a one-time prekey of the older kind, the Kyber prekey alone tells a replay."""
    store = MemoryStore()
    ana, budi = make_device(ANA), make_device(BUDI, store)
    published = budi.publish(1)
    budi.confirm_published(published)
    bundle = bundle_from(published, 0, kyber=True)
    ana.start_session(replace(bundle, one_time_prekey_id=None, one_time_prekey=None))
    first = ana.encrypt(BUDI, Text("first"))
    assert budi.decrypt(first).content == Text("first")
    with store.transaction() as tx:  # as if 40 other sessions had come since
        for table in (Table.SESSIONS, Table.SESSION_RECORDS, Table.SPQR):
            for partition, row, _ in list(tx.scan(table)):
                tx.delete(table, partition, row)
    budi = reopen_device(budi, store, "again")
    before = dump(store)
    with pytest.raises(UnknownPrekey, match=r"Kyber prekey \d+.*replay"):
        budi.decrypt(first)
    assert dump(store) == before


def test_a_first_message_that_names_who_it_is_of_is_read_as_theirs_alone() -> None:
    """Users whose names are UUIDs: Signal's own field is written, and held against the sender."""
    ours, theirs, another = (Address("signal", str(UUID(int=number))) for number in (1, 2, 3))
    ana, budi = make_device(ours), make_device(theirs)
    start(ana, budi, kyber=True)
    envelope = ana.encrypt(theirs, Text("halo"))
    before = dump(budi._context.store)
    for sender in (another, Address("signal", ours.user, 2), BUDI):
        with pytest.raises(AuthenticationFailed, match="other addresses"):
            budi.decrypt_raw(sender, envelope.kind, envelope.ciphertext)
    assert dump(budi._context.store) == before
    assert budi.decrypt(envelope).content == Text("halo")


@pytest.mark.parametrize("required", [True, False])
def test_whether_a_peer_must_run_the_post_quantum_ratchet_is_said_by_the_policy(
    required: bool,
) -> None:
    """Also of a session that a client starts; what follows from it `tests/protocol` holds."""
    policy = Policy(require_spqr=required)
    ana, budi = make_device(ANA, policy=policy), make_device(BUDI)
    (news,) = start_from_bundles(ana._context, [new_bundle(budi, kyber=True)])
    assert not isinstance(news, E2ECrossError)
    with ana._context.store.transaction() as tx:
        session = read_sessions(tx, address_key(BUDI)).current
    assert session is not None
    spqr = session.ratchet.spqr
    assert spqr is not None
    assert spqr.negotiation is (Negotiation.REQUIRED if required else Negotiation.OPTIONAL)


def test_a_record_of_a_later_release_stops_no_other_session_from_being_started() -> None:
    ana, budi, toko = (make_device(each) for each in (ANA, BUDI, TOKO))
    with ana._context.store.transaction() as tx:
        tx.put(Table.SESSION_RECORDS, address_key(BUDI), b"", b"\xff")
    bundles = [new_bundle(each, kyber=True) for each in (budi, toko)]
    refused, news = start_from_bundles(ana._context, bundles)
    assert isinstance(refused, StoreTooNew)
    assert news == NO_NEWS
    assert ana.has_session(TOKO)
