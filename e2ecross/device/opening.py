# SPDX-License-Identifier: Apache-2.0
"""Making a device, and loading it again: `Device.create`, `import_identity` and `open`; linking.

Rules:
- The witness is asked before the store is read: it may only know more if the store is older.
- A new store goes on counting where the witness is, which may have known an earlier device.
- A device that is linked is written with its account, in one commit, or not at all.
"""

from dataclasses import dataclass

from e2ecross.address import Address
from e2ecross.arguments import (
    require_callable,
    require_methods,
    require_type,
    require_whole_number,
)
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import KeyPair, PublicKey, generate_key_pair, key_pair_from_private
from e2ecross.device.accepting import accept_list
from e2ecross.device.batch import Progress
from e2ecross.device.identity_backup import open_backup
from e2ecross.device.prekey_upkeep import make_kyber_prekey, make_signed_prekey
from e2ecross.device.restoring import restore_device, restore_stripe
from e2ecross.errors import DeviceExists, InvalidArgument, StoreMoved
from e2ecross.protocol.linking import LinkedDevice
from e2ecross.protocol.prekeys import first_prekey_id, new_registration_id
from e2ecross.state.accounts import find_own_account, primary_of, put_own_account
from e2ecross.state.context import (
    Clock,
    Context,
    load_device,
    open_context,
    require_device,
    save_device,
)
from e2ecross.state.epoch import read_epoch, set_epoch, sum_epochs
from e2ecross.state.policy import Policy
from e2ecross.state.prekey_store import put_kyber_prekey, put_signed_prekey
from e2ecross.state.trust import mark_verified, require_identity
from e2ecross.state.witness import CheckedWitness, Witness, require_epoch
from e2ecross.stores.base import Store, Transaction
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList
from e2ecross.wire.records import DeviceRecord

__all__ = [
    "Surroundings",
    "check_new_store",
    "create_device",
    "import_device",
    "install_linked",
    "load_context",
]

_MAX_TIME_MS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a caller gives a device to work with, as it was handed in.

    Attributes:
        policy: how it behaves, or None for the default.
        clock: milliseconds since 1970.
        entropy: where its randomness comes from.
        witness: who is told how far the store has come, or None.
    """

    policy: Policy | None
    clock: Clock
    entropy: EntropySource
    witness: Witness | None


def create_device(address: Address, store: Store, given: Surroundings) -> Context:
    """Put a new device with a new identity into an empty store; see `Device.create`.

    Raises:
        DeviceExists: the store holds a device already.
        InvalidArgument: an argument has the wrong type.
        WitnessFailed: the witness cannot be read.
    """
    require_type("address", address, Address)
    _check(store, given)
    return _install(address, generate_key_pair(given.entropy), store, given)


def import_device(
    backup: bytes, passphrase: str | bytes, store: Store, given: Surroundings
) -> Context:
    """Put a device with the identity of a backup into an empty store; see `Device.import_identity`.

    Raises:
        DeviceExists: the store holds a device already.
        WrongBackupKey: another passphrase, or the backup was changed.
        DecodeError: it is no backup.
        UnsupportedVersion: a later release made it.
        InvalidArgument: an argument has the wrong type.
        WitnessFailed: the witness cannot be read.
    """
    _check(store, given)
    content = open_backup(backup, passphrase)
    identity_key_pair = key_pair_from_private(content.identity_private_key)
    return _install(
        content.address, identity_key_pair, store, given, replaced_token=content.backend_token
    )


def check_new_store(store: Store, given: Surroundings) -> Clock:
    """Check that a device can be put into a store later; returns the clock, its answers checked.

    Raises:
        DeviceExists: the store holds a device already.
        InvalidArgument: an argument has the wrong type.
    """
    _check(store, given)
    with store.transaction() as tx:
        _require_empty(tx)
    return _checked_clock(given.clock)


def install_linked(linked: LinkedDevice, store: Store, given: Surroundings) -> Context:
    """Put a device that was linked into an empty store: all of a new one, and its account.

    Its user has seen, on both ends, that it was this account: its key counts as verified.

    Raises:
        DeviceExists: the store holds a device already.
        InvalidArgument: an argument has the wrong type.
        WitnessFailed: the witness cannot be read.
    """
    _check(store, given)
    return _install(linked.address, linked.key_pair, store, given, linked=linked)


def load_context(
    store: Store, given: Surroundings, *, restored: bool, progress: Progress | None = None
) -> Context:
    """Load the device of a store; see `Device.open`.

    Raises:
        NoDevice: the store holds none.
        RestoredStore: the witness knows more than the store, and it is not opened as restored.
        InvalidArgument: an argument has the wrong type.
        WitnessFailed: the witness cannot be read, or told of the restore.
    """
    _check(store, given)
    require_type("restored", restored, bool)
    if progress is not None:
        require_callable("progress", progress)
    witness, known = _ask(given.witness)
    try:
        context, is_done = _load(store, given, witness, known, restored=restored)
    except StoreMoved:
        # Nothing but this is done there, until a `Client` has looked into it. Restored it is anew,
        # whatever it says of itself: operations that were committed elsewhere may be lost.
        context, is_done = _load(store, given, witness, known, restored=restored, moved=True)
    if restored and not is_done:
        context = restore_device(context, known, progress)
        store.accept_move()
    return context


def _load(
    store: Store,
    given: Surroundings,
    witness: CheckedWitness | None,
    known: int,
    *,
    restored: bool,
    moved: bool = False,
) -> tuple[Context, bool]:
    """Read what there is of a device; tells also whether it was opened as restored just before."""
    with store.transaction(moved=True) if moved else store.transaction() as tx:
        record = require_device(tx)
        epoch = read_epoch(tx)
        if not restored:
            require_epoch(epoch, known, "the witness")
        account_key = _find_account_key(tx, record)
        epochs = sum_epochs(tx) if restored else 0
    # Once for each restore: what has neither done nor seen anything since is the restored store.
    is_done = record.restored_epoch > 0 and epochs == record.restored_epoch and known <= epoch
    return _open(record, store, given, witness, account_key), is_done and not moved


def _install(
    address: Address,
    identity_key_pair: KeyPair,
    store: Store,
    given: Surroundings,
    *,
    replaced_token: bytes | None = None,
    linked: LinkedDevice | None = None,
) -> Context:
    """Put a device into an empty store: a new one, one of a backup, or one that was linked."""
    clock, entropy = _checked_clock(given.clock), given.entropy
    is_import = replaced_token is not None
    signed_prekey_id = first_prekey_id(entropy)
    now_ms = clock()
    signed_prekey = make_signed_prekey(identity_key_pair, entropy, now_ms)
    last_resort = make_kyber_prekey(identity_key_pair, entropy, now_ms, is_last_resort=True)
    record = DeviceRecord(
        address=address,
        identity_private_key=identity_key_pair.private,
        registration_id=new_registration_id(entropy),
        next_prekey_id=signed_prekey_id + 2,
        signed_prekey_id=signed_prekey_id,
        last_resort_kyber_prekey_id=signed_prekey_id + 1,
        backend_token=b"" if linked is None else linked.token,
        registered=linked is not None,
        adopts_epoch=is_import,
        replaces_prekeys=is_import,
        replaced_token=replaced_token or b"",
        imported_at_ms=now_ms if is_import else 0,
    )
    witness, known = _ask(given.witness)
    account_key = None if linked is None else linked.signed_list.list.account_key
    context = _open(record, store, given, witness, account_key)
    with store.transaction() as tx:
        _require_empty(tx)
        put_signed_prekey(tx, record.signed_prekey_id, signed_prekey)
        put_kyber_prekey(tx, record.last_resort_kyber_prekey_id, last_resort)
        save_device(tx, record)
        if is_import and address.device == PRIMARY:  # others may have been linked since
            put_own_account(tx, OwnAccountRecord(must_reset=True))
        if linked is not None:
            _join_account(context, tx, linked.signed_list, now_ms)
        if known:
            set_epoch(tx, known)
    return context


def _join_account(context: Context, tx: Transaction, signed: SignedDeviceList, now_ms: int) -> None:
    """Write what a device that is linked knows of its account; the list is verified."""
    user = context.address.user_id
    accept_list(context, tx, user, signed, now_ms)
    mark_verified(tx, Address(user.app, user.user, PRIMARY), signed.list.account_key)
    # 0 says that it was not linked, and may be what a wrong clock says.
    put_own_account(tx, OwnAccountRecord(linked_at_ms=max(now_ms, 1)))


def _require_empty(tx: Transaction) -> None:
    if load_device(tx) is not None:
        raise DeviceExists("the store already holds a device: use Device.open")


def _ask(witness: Witness | None) -> tuple[CheckedWitness | None, int]:
    """Return the witness, and what it knows: 0 without one."""
    if witness is None:
        return None, 0
    checked = CheckedWitness(witness)
    return checked, checked.read()


def _find_account_key(tx: Transaction, record: DeviceRecord) -> PublicKey | None:
    """Return the key (33 bytes) of the account that this device was linked to, if it was."""
    own = find_own_account(tx)
    if own is None or not own.linked_at_ms:
        return None
    return require_identity(tx, primary_of(tx, record.address)).identity_key


def _open(
    record: DeviceRecord,
    store: Store,
    given: Surroundings,
    witness: CheckedWitness | None,
    account_key: PublicKey | None = None,
) -> Context:
    policy = Policy() if given.policy is None else given.policy
    return open_context(
        *(record, store, policy, _checked_clock(given.clock), given.entropy, witness, account_key),
        restore_stripe=restore_stripe,
    )


def _check(store: Store, given: Surroundings) -> None:
    require_methods("store", store, "transaction")
    if given.witness is not None and store.stripes:
        raise InvalidArgument("witness: of a store with stripes, the back end is the witness")
    require_methods("clock", given.clock, "__call__")
    require_methods("entropy", given.entropy, "bytes", "encapsulate")
    if given.policy is not None:
        require_type("policy", given.policy, Policy)
    if given.witness is not None:
        require_methods("witness", given.witness, "read", "advance")


def _checked_clock(clock: Clock) -> Clock:
    def checked() -> int:
        # `time.time` is the likely mistake: seconds, and with a fraction.
        now_ms = clock()
        require_whole_number("what clock returns", now_ms, 0, _MAX_TIME_MS)
        return now_ms

    return checked
