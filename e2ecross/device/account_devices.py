# SPDX-License-Identifier: Apache-2.0
"""What an app is shown of the devices of an account: `Client.devices`.

Rules:
- Shown is what the list says that is held; nobody else's word counts for anything.
- Names are of the own account alone, and known to device 1.
"""

from dataclasses import dataclass

from e2ecross.address import Address, UserId
from e2ecross.protocol.device_list import is_expired
from e2ecross.state.accounts import find_account, find_own_account
from e2ecross.state.context import Context
from e2ecross.state.transactions import peer_transaction
from e2ecross.wire.account_records import DeviceName, OwnAccountRecord
from e2ecross.wire.device_list import ListedDevice

__all__ = ["AccountDevice", "AccountDevices", "read_devices"]


@dataclass(frozen=True, slots=True)
class AccountDevice:
    """A device of an account.

    Attributes:
        address: its own.
        identity_key: its own, 33 bytes.
        name: what it calls itself; empty where that is not known here.
        linked_at_ms: when it was linked, milliseconds since 1970; 0 where that is not known here.
        last_seen_ms: when a message came from it, to the day; 0 where that is not known here.
    """

    address: Address
    identity_key: bytes
    name: str = ""
    linked_at_ms: int = 0
    last_seen_ms: int = 0

    def __repr__(self) -> str:
        return f"<AccountDevice {self.address}>"


@dataclass(frozen=True, slots=True)
class AccountDevices:
    """The devices of an account.

    Attributes:
        devices: ascending by number; empty while no list of them is known.
        hosting: who holds keys of the account beside its user, as its user claims: 0 nobody, 1 a
            vendor, 2 the app's operator.
        vendor: which, with hosting 1; else empty.
        expired: the list is too old: only device 1 is sent to.
        forked: another list contradicts it: only devices that both have are sent to.
    """

    devices: tuple[AccountDevice, ...] = ()
    hosting: int = 0
    vendor: str = ""
    expired: bool = False
    forked: bool = False


def read_devices(context: Context, user: UserId) -> AccountDevices | None:
    """Return the devices of an account, or None if no list of them is held."""
    with peer_transaction(context, user) as tx:
        record, own = find_account(tx, user), OwnAccountRecord()
        if user == context.address.user_id:
            own = find_own_account(tx) or own
    if record is None or record.held is None:
        return None
    listed, max_age_ms = record.held.list, context.policy.device_list_max_age_ms
    return AccountDevices(
        tuple(_describe(context, user, each, own) for each in listed.devices),
        listed.hosting,
        listed.vendor,
        is_expired(record.held, record.accepted_at_ms, context.clock(), max_age_ms),
        record.rival is not None,
    )


def _describe(
    context: Context, user: UserId, listed: ListedDevice, own: OwnAccountRecord
) -> AccountDevice:
    address = Address(user.app, user.user, listed.device)
    linked_at_ms = own.linked_at_ms if address == context.address else 0
    known = {each.device: each for each in own.names}
    name = known.get(listed.device, DeviceName(listed.device, "", linked_at_ms))
    return AccountDevice(
        address, listed.identity_key, name.name, name.linked_at_ms, name.last_seen_ms
    )
