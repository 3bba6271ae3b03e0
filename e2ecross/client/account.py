# SPDX-License-Identifier: Apache-2.0
"""The own account at the back end: its list of devices, published and looked after.

Rules:
- Sign, commit, publish. Until the back end is known to have a list it is published again.
- What the back end hands out is judged by its signatures. One that hides a list, or hands out an
  old one, puts no device into it and takes none out.
- Before a device is taken out, what it has sent is read.
"""

from collections.abc import Iterable
from contextlib import suppress

from e2ecross.address import UserId
from e2ecross.client.attempts import attempt_all
from e2ecross.client.flushing import flush
from e2ecross.client.link import Link
from e2ecross.client.taking_in import take_in_what_waits
from e2ecross.device.account_devices import AccountDevice, AccountDevices, read_devices
from e2ecross.device.conversations import put_states
from e2ecross.device.device_lists import read_fetched_list, would_remove
from e2ecross.device.group_announcing import put_history
from e2ecross.device.own_list import (
    ensure_own_list,
    finish_restore,
    remove_overdue,
    renew_if_due,
    require_other_device,
    restore_devices,
    unlink_device,
)
from e2ecross.device.own_upkeep import (
    find_new_devices,
    is_own_list_expired,
    list_to_publish,
    must_reset,
    note_has_keys,
    note_list_published,
    tell_expired,
)
from e2ecross.device.self_sync import announce_capabilities, put_pins, request_leave
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DevicesConflict,
    E2ECrossError,
    InvalidArgument,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.protocol.device_list import Verdict
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.exchange import KeysWanted, UserKeys

__all__ = [
    "leave_account",
    "maintain_account",
    "publish_list",
    "renew_list",
    "restore_account",
    "show_devices",
    "unlink",
]


def maintain_account(link: Link) -> None:
    """Do all that is due about the own account; at device 1 that is the list of its devices.

    Raises:
        RemoteError: the back end has handed out something as the own list that is none.
        BackendRefused: the back end does not take the list, and has no newer one.
        BackendError: the back end cannot be reached.
    """
    context = link.context
    if context.address.device == PRIMARY:
        attempt_all(
            lambda: _finish_restore(link),
            lambda: ensure_own_list(context),
            lambda: renew_if_due(context),
            lambda: _look_after_new_devices(link),
            lambda: _publish_quietly(link),
            lambda: tell_expired(context),
        )
        return
    announce_capabilities(context)
    if is_own_list_expired(context):
        attempt_all(lambda: _refresh(link), lambda: tell_expired(context))


def renew_list(link: Link) -> None:
    """Renew and publish the own list, where that is due; at device 1.

    Raises:
        BackendError: the back end cannot be reached.
    """
    renew_if_due(link.context)
    with suppress(BackendRefused):  # `maintain_account` tells it, and is called less often
        _publish_quietly(link)


def publish_list(link: Link) -> None:
    """Publish the own list, if the back end may not have it.

    Raises:
        DevicesConflict: the back end has one that somebody else has signed with the account's key.
        BackendRefused: the back end does not take it, and has no newer one.
        RemoteError: the back end does not take it, and has handed out something that is no list.
        BackendError: the back end cannot be reached.
    """
    waiting = list_to_publish(link.context)
    if waiting is None:
        return
    seq, encoded, tokens, epoch = waiting
    try:
        link.backend.publish_devices(link.token, encoded, tokens, epoch)
    except BackendRefused:
        verdict = _fetch_list(link, link.context.address.user_id)
        if verdict is Verdict.CONFLICT:
            raise DevicesConflict(
                "somebody else has signed a list of the devices of this account: show them to the "
                "user, and call restore_devices with the numbers that the user knows"
            ) from None
        if verdict is not Verdict.SAME:
            raise
    note_list_published(link.context, seq)


def show_devices(link: Link, user: UserId) -> AccountDevices:
    """Return the devices of an account; see `Client.devices`."""
    context = link.context
    found = read_devices(context, user)
    if found is None and user == context.address.user_id:
        own = AccountDevice(context.address, context.identity_key_pair.public)
        return AccountDevices((own,))
    if found is None:
        _fetch_list(link, user)
        found = read_devices(context, user)
    return found or AccountDevices()


def unlink(link: Link, device: int) -> None:
    """Take a device out of the own account; see `Client.unlink`."""
    context = link.context
    require_other_device(context, device)
    _take_in(link, context.address.user_id)
    with suppress(InvalidArgument):  # it was among what has come that it leaves
        unlink_device(context, device)
    attempt_all(lambda: publish_list(link), lambda: flush(link))


def leave_account(link: Link) -> None:
    """Ask device 1 to take this one out; see `Client.leave`."""
    request_leave(link.context)
    flush(link)


def restore_account(link: Link, keep: Iterable[int]) -> None:
    """Sign a list above all others; see `Client.restore_devices`."""
    if must_reset(link.context):
        _fetch_list(link, link.context.address.user_id)
    restore_devices(link.context, keep)
    attempt_all(lambda: publish_list(link), lambda: flush(link))


def _refresh(link: Link) -> None:
    _fetch_list(link, link.context.address.user_id)


def _finish_restore(link: Link) -> None:
    """Adopt the newest list that there is; go on alone where there are no others in it."""
    if must_reset(link.context):
        _fetch_list(link, link.context.address.user_id)
        finish_restore(link.context)


def _look_after_new_devices(link: Link) -> None:
    """Tell devices that were linked what they have to know, or take them out if that failed."""
    context = link.context
    new = find_new_devices(context)
    if not new:
        return
    keys = _ask(link, KeysWanted(context.address.user_id, new))
    bundles = () if keys is None else keys.bundles
    ready = {
        bundle.address.device
        for bundle in bundles
        if new.get(bundle.address.device) == bundle.identity_key
    }
    for device in ready:
        put_pins(context, device)
        put_states(context, device)
        put_history(context, context.address.user_id.device(device))
        note_has_keys(context, device)
    remove_overdue(context, new.keys() - ready)


def _publish_quietly(link: Link) -> None:
    """The same as `publish_list`; of a conflict there is a notice."""
    with suppress(DevicesConflict):
        publish_list(link)


def _fetch_list(link: Link, user: UserId) -> Verdict | None:
    """Fetch the list of an account and take it in; None if the back end has none."""
    keys = _ask(link, KeysWanted(user, ()))
    if keys is None or not keys.device_list:
        return None
    if would_remove(link.context, user, keys.device_list):
        _take_in(link, user)
    return read_fetched_list(link.context, user, keys.device_list).verdict


def _ask(link: Link, wanted: KeysWanted) -> UserKeys | None:
    (keys,) = link.backend.fetch_keys(link.context.address, link.token, [wanted])
    if isinstance(keys, UnknownRecipient) and wanted.user == link.context.address.user_id:
        return None
    if isinstance(keys, E2ECrossError):
        raise keys
    return keys


def _take_in(link: Link, user: UserId) -> None:
    """Take in what waits; where the back end is out of reach, nothing is to be waited for."""
    try:
        take_in_what_waits(link, [user])
    except NotRegistered:
        raise
    except BackendError:
        pass
