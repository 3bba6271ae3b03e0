# SPDX-License-Identifier: Apache-2.0
"""Sessions that a client starts from bundles, where the policy accepts another identity key."""

from e2ecross import Device, Notice, NoticeKind, Policy, Text
from e2ecross.device.bundles import BundleNews, start_from_bundles
from e2ecross.wire.limits import MAX_ARCHIVED_SESSIONS
from tests.support.devices import ANA, BUDI, introduce, make_device, new_bundle, say
from tests.support.inboxes import hand_all
from tests.support.readers import key_of, sessions_of

LAX = Policy(accept_changed_identity=True)


def start_as_client(device: Device, peer: Device) -> None:
    """Start a session from a bundle under another key, which the policy accepts."""
    news = start_from_bundles(device._context, [new_bundle(peer, kyber=True)])
    assert news == [BundleNews(identity_changed=True)]


def test_late_messages_of_the_key_before_are_still_read() -> None:
    ana, old = make_device(ANA, policy=LAX), make_device(BUDI)
    new = make_device(BUDI, seed="reinstalled")
    introduce(ana, old, kyber=True)
    late = old.encrypt(ANA, Text("late"))
    start_as_client(ana, new)
    say(ana, new, "to the new phone")
    assert sessions_of(ana, BUDI) == [new.identity_key, old.identity_key]
    assert ana.decrypt(late).content == Text("late")
    say(ana, new, "and still to that")


def test_the_app_hears_which_key_of_which_device_is_accepted_now() -> None:
    ana, old = make_device(ANA, policy=LAX), make_device(BUDI)
    new = make_device(BUDI, seed="reinstalled")
    introduce(ana, old, kyber=True)
    start_as_client(ana, new)
    (notice,) = hand_all(ana._context)
    assert isinstance(notice, Notice)
    assert (notice.kind, notice.user) == (NoticeKind.IDENTITY_CHANGED, BUDI.user_id)
    assert (notice.devices, notice.identity_key) == ((BUDI.device,), new.identity_key)


def test_in_a_full_archive_no_session_of_the_key_that_is_accepted_gives_way() -> None:
    """The phone before the last is back, with its key: its session is the oldest of all."""
    ana, budi = make_device(ANA, policy=LAX), make_device(BUDI)
    other = make_device(BUDI, seed="for some weeks")
    introduce(ana, budi, kyber=True)
    late = budi.encrypt(ANA, Text("late"))
    start_as_client(ana, other)
    for _ in range(MAX_ARCHIVED_SESSIONS - 1):
        introduce(ana, other, kyber=True)
    assert sessions_of(ana, BUDI) == [other.identity_key] * 40 + [budi.identity_key]
    start_as_client(ana, budi)
    assert key_of(ana, BUDI) == budi.identity_key
    found = sessions_of(ana, BUDI)
    assert (found[0], len(found)) == (budi.identity_key, 1 + MAX_ARCHIVED_SESSIONS)
    assert found.count(budi.identity_key) == 2
    say(ana, budi, "to the phone that is back")
    assert ana.decrypt(late).content == Text("late")
