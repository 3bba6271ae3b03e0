# SPDX-License-Identifier: Apache-2.0
"""Making a device, and loading it again: what `Device.create` and `Device.open` do."""

from e2ecross.address import Address
from e2ecross.client.context import (
    Clock,
    Context,
    load_device,
    open_context,
    require_device,
    save_device,
)
from e2ecross.client.policy import Policy
from e2ecross.client.prekey_store import put_signed_prekey
from e2ecross.client.prekey_upkeep import make_signed_prekey
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import DeviceExists
from e2ecross.protocol.prekeys import first_prekey_id, new_registration_id
from e2ecross.stores.base import Store
from e2ecross.wire.arguments import require_methods, require_type, require_whole_number
from e2ecross.wire.records import DeviceRecord

__all__ = ["create_device", "load_context"]

_MAX_TIME_MS = 2**63 - 1


def create_device(
    address: Address, store: Store, policy: Policy | None, clock: Clock, entropy: EntropySource
) -> Context:
    """Put a new device with a new identity into an empty store; see `Device.create`.

    Raises:
        DeviceExists: the store holds a device already.
        InvalidArgument: an argument has the wrong type.
    """
    require_type("address", address, Address)
    policy, clock = _checked(store, policy, clock, entropy)
    identity_key_pair = generate_key_pair(entropy)
    signed_prekey_id = first_prekey_id(entropy)
    signed_prekey = make_signed_prekey(identity_key_pair, signed_prekey_id, entropy, clock())
    record = DeviceRecord(
        address=address,
        identity_private_key=identity_key_pair.private,
        registration_id=new_registration_id(entropy),
        next_prekey_id=signed_prekey_id + 1,
        signed_prekey_id=signed_prekey_id,
        unconfirmed_publication=b"",
        backend_token=b"",
        registered=False,
        next_queue_number=1,
    )
    with store.transaction() as tx:
        if load_device(tx) is not None:
            raise DeviceExists("the store already holds a device: use Device.open")
        put_signed_prekey(tx, signed_prekey)
        save_device(tx, record)
    return open_context(record, store, policy, clock, entropy)


def load_context(
    store: Store, policy: Policy | None, clock: Clock, entropy: EntropySource
) -> Context:
    """Load the device of a store; see `Device.open`.

    Raises:
        NoDevice: the store holds none.
        InvalidArgument: an argument has the wrong type.
    """
    policy, clock = _checked(store, policy, clock, entropy)
    with store.transaction() as tx:
        record = require_device(tx)
    return open_context(record, store, policy, clock, entropy)


def _checked(
    store: Store, policy: Policy | None, clock: Clock, entropy: EntropySource
) -> tuple[Policy, Clock]:
    require_methods("store", store, "transaction")
    require_methods("clock", clock, "__call__")
    require_methods("entropy", entropy, "bytes")
    if policy is None:
        policy = Policy()
    require_type("policy", policy, Policy)

    def checked_clock() -> int:
        # `time.time` is the likely mistake: seconds, and with a fraction.
        now_ms = clock()
        require_whole_number("what clock returns", now_ms, 0, _MAX_TIME_MS)
        return now_ms

    return policy, checked_clock
