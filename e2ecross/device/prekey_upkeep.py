# SPDX-License-Identifier: Apache-2.0
"""Making, publishing and replacing our own prekeys.

Rules:
- Generate, commit, upload, confirm. Until a publication is confirmed it is repeated byte for byte,
  so that an upload whose answer was lost does no harm.
- Keys are generated and signed outside of any transaction.
- No id is used twice.
- The last-resort Kyber prekey is made, replaced and deleted together with the signed prekey.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from e2ecross.arguments import forgets_secrets, require_type, require_whole_number
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kem import generate_kem_key_pair
from e2ecross.crypto.keys import KeyPair, generate_key_pair
from e2ecross.crypto.secret import Secret
from e2ecross.crypto.xeddsa import sign
from e2ecross.device.expiring import tend_shelves
from e2ecross.errors import InvalidArgument, RecordCorrupted, RemoteError
from e2ecross.protocol.prekeys import (
    one_time_prekeys_to_add,
    require_free_ids,
    rotation_is_due,
)
from e2ecross.state.context import Context, require_device, save_device
from e2ecross.state.epoch import WitnessedTransaction, count_operation
from e2ecross.state.prekey_store import (
    OwnKyberPrekey,
    OwnPrekey,
    OwnSignedPrekey,
    delete_expired_prekeys,
    delete_kyber_prekey,
    delete_oldest_prekeys,
    delete_one_time_prekey,
    has_full_stripe,
    put_kyber_prekey,
    put_one_time_prekey,
    put_signed_prekey,
    require_last_resort_prekey,
    require_signed_prekey,
)
from e2ecross.state.publication import forget_publication, read_publication, save_publication
from e2ecross.state.transactions import stripe_transaction
from e2ecross.state.upkeep import (
    MAX_STORED_PREKEYS,
    note_made,
    note_refused,
    note_taken,
    prekeys_allowed,
    was_refused_lately,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.bundle import KyberPrekey, OneTimePrekey, PublishedKeys, SignedPrekey
from e2ecross.wire.limits import MAX_ONE_TIME_PREKEYS
from e2ecross.wire.records import DeviceRecord, KyberPrekeyRecord, SignedPrekeyRecord

__all__ = [
    "LastUpkeep",
    "WaitingPublication",
    "confirm_publication",
    "decode_stored_publication",
    "make_kyber_prekey",
    "make_publication",
    "make_signed_prekey",
    "needs_rotation",
    "plan_publication",
    "prepare_publication",
    "take_back_publication",
    "waiting_publication",
]

_ASKED_EVERY_MS: Final = 60_000


@forgets_secrets
def make_signed_prekey(
    identity_key_pair: KeyPair, entropy: EntropySource, now_ms: int
) -> OwnSignedPrekey:
    """Generate and sign a signed prekey."""
    key_pair = generate_key_pair(entropy)
    signature = sign(identity_key_pair, key_pair.public, entropy)
    return OwnPrekey(SignedPrekeyRecord(key_pair.private, signature, now_ms), key_pair)


@forgets_secrets
def make_kyber_prekey(
    identity_key_pair: KeyPair,
    entropy: EntropySource,
    now_ms: int,
    *,
    is_last_resort: bool,
) -> OwnKyberPrekey:
    """Generate and sign a Kyber prekey."""
    key_pair = generate_kem_key_pair(entropy)
    signature = sign(identity_key_pair, key_pair.public, entropy)
    record = KyberPrekeyRecord(key_pair.seed, signature, now_ms, is_last_resort=is_last_resort)
    return OwnPrekey(record, key_pair)


def waiting_publication(tx: Transaction) -> PublishedKeys | None:
    """Return the publication that has not been confirmed yet, or None."""
    encoded = read_publication(tx)
    return decode_stored_publication(encoded) if encoded else None


def decode_stored_publication(encoded: bytes) -> PublishedKeys:
    """Read a publication that the store holds.

    Raises:
        RecordCorrupted: it does not decode.
    """
    try:
        return PublishedKeys.decode(encoded)
    except RemoteError as error:
        raise RecordCorrupted(
            "the stored publication does not decode: the store is damaged"
        ) from error


def needs_rotation(context: Context, tx: Transaction, device: DeviceRecord) -> bool:
    """Tell whether the signed and the last-resort prekey are to be replaced.

    They are by age, and when the signed one is full, in one stripe at least.
    """
    current = require_signed_prekey(tx, device.signed_prekey_id).record
    max_age_ms = context.policy.signed_prekey_max_age_ms
    return rotation_is_due(current.created_at_ms, context.clock(), max_age_ms) or has_full_stripe(
        tx, device.signed_prekey_id
    )


def prepare_publication(context: Context, one_time: int) -> PublishedKeys:
    """Return the keys to publish, the same ones until they are confirmed.

    While they are not, the device's record has what is sent with them: `publication_epoch`, and
    `replaces_prekeys` if they take the place of everything that was published before.

    Args:
        context: of the device.
        one_time: how many new one-time prekeys of each kind, if a new publication is made.

    Raises:
        PrekeysExhausted: there are not enough ids left.
        WitnessFailed: the witness cannot be told; the publication waits.
        InvalidArgument: `one_time` is out of range.
    """
    require_whole_number("one_time", one_time, 0, MAX_ONE_TIME_PREKEYS)
    with WitnessedTransaction(context) as tx:
        waiting = waiting_publication(tx)
    if waiting is not None:
        return waiting
    fresh = _generate(context, one_time)
    with WitnessedTransaction(context) as tx:
        waiting = waiting_publication(tx)
        if waiting is not None:  # another process was faster
            return waiting
        return _record_publication(context, tx, require_device(tx), fresh)


def plan_publication(context: Context, left: int) -> int | None:
    """Tell what is to be published; what has expired is deleted, and wrong times are put right.

    Args:
        context: of the device.
        left: how many one-time prekeys the back end counts; any number.

    Returns:
        How many new one-time prekeys of each kind, 0 for the signed prekey alone or a publication
        that waits; None if nothing is to be published.
    """
    policy, now_ms = context.policy, context.clock()
    with stripe_transaction(context) as tx:
        record = require_device(tx)
        is_due = needs_rotation(context, tx, record) or record.replaces_prekeys
        waits = bool(read_publication(tx))
        if waits and was_refused_lately(tx, now_ms):
            return None
        if not waits:  # else the old one may still be handed out
            delete_expired_prekeys(tx, now_ms, policy.signed_prekey_kept_ms)
        allowed = prekeys_allowed(tx, policy, now_ms)
        # Here because it is done again and again, and needs no transaction of its own.
        tend_shelves(tx, policy, now_ms)
    target = policy.one_time_prekeys_target
    add = one_time_prekeys_to_add(max(left, 0), policy.one_time_prekeys_low, target)
    if record.replaces_prekeys:  # of those that are left the private halves are gone
        add = target
    add = min(add, allowed)
    return add if add or is_due or waits else None


class LastUpkeep:
    """When one client has last asked what the back end has left of our prekeys.

    Between two times `receive` does not ask, unless it has used some up.
    """

    __slots__ = ("_at_ms",)

    def __init__(self) -> None:
        """Never yet."""
        self._at_ms: int | None = None

    def is_due(self, context: Context) -> bool:
        """Tell whether it is time to ask again."""
        return self._at_ms is None or not 0 <= context.clock() - self._at_ms < _ASKED_EVERY_MS

    def note(self, context: Context) -> None:
        """Note that it was asked, and what had to be done was done."""
        self._at_ms = context.clock()

    def forget(self) -> None:
        """Let it be due."""
        self._at_ms = None


class WaitingPublication(NamedTuple):
    """A publication on its way.

    Attributes:
        published: the keys.
        epoch: at which it was made.
        replaces: whether it takes the place of all that was published before.
    """

    published: PublishedKeys
    epoch: int
    replaces: bool


def make_publication(context: Context, one_time: int) -> WaitingPublication | None:
    """Return what is to be sent to the back end; None if another process has just confirmed it."""
    published = prepare_publication(context, one_time)
    with WitnessedTransaction(context) as tx:
        record = require_device(tx)
        if read_publication(tx) != published.encode():
            return None
        return WaitingPublication(published, record.publication_epoch, record.replaces_prekeys)


def take_back_publication(context: Context, published: PublishedKeys) -> bool:
    """Note that the back end has refused a publication; forget its one-time prekeys.

    One without any waits further: the signed prekey in it may be a new one.

    Returns:
        Whether it was taken back, so that a smaller one can be made.
    """
    with stripe_transaction(context) as tx:
        device = require_device(tx)
        note_refused(tx, context.clock())
        if not published.one_time_prekeys or read_publication(tx) != published.encode():
            return False
        for prekey in published.one_time_prekeys:
            delete_one_time_prekey(tx, prekey.id)
        for kyber in published.kyber_prekeys:
            delete_kyber_prekey(tx, kyber.id)
        save_device(tx, forget_publication(tx, device))
        return True


def confirm_publication(context: Context, published: PublishedKeys) -> None:
    """Note that a publication has arrived; a second time nothing happens.

    Raises:
        InvalidArgument: another publication is the one that waits.
    """
    require_type("published", published, PublishedKeys)
    encoded = published.encode()
    with stripe_transaction(context) as tx:
        device = require_device(tx)
        waiting = read_publication(tx)
        if not waiting:
            return
        if waiting != encoded:
            raise InvalidArgument("published is not the publication that waits to be confirmed")
        save_device(tx, replace(forget_publication(tx, device), replaces_prekeys=False))
        if published.one_time_prekeys:  # one without any says nothing of those that were refused
            note_taken(tx, context.clock())


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _FreshKeys(Secret):
    """Keys made for a publication, without ids.

    Attributes:
        signed: may not be needed: whether it is can only be known inside of the transaction.
        last_resort: likewise.
        one_time: the one-time prekeys.
        kyber: the one-time Kyber prekeys, as many.
    """

    signed: OwnSignedPrekey
    last_resort: OwnKyberPrekey
    one_time: list[KeyPair]
    kyber: list[OwnKyberPrekey]


def _generate(context: Context, one_time: int) -> _FreshKeys:
    identity, entropy, now_ms = context.identity_key_pair, context.entropy, context.clock()
    return _FreshKeys(
        signed=make_signed_prekey(identity, entropy, now_ms),
        last_resort=make_kyber_prekey(identity, entropy, now_ms, is_last_resort=True),
        one_time=[generate_key_pair(entropy) for _ in range(one_time)],
        kyber=[
            make_kyber_prekey(identity, entropy, now_ms, is_last_resort=False)
            for _ in range(one_time)
        ],
    )


def _record_publication(
    context: Context, tx: Transaction, device: DeviceRecord, fresh: _FreshKeys
) -> PublishedKeys:
    made = len(fresh.one_time)
    require_free_ids(device.next_prekey_id, 2 + made + len(fresh.kyber))
    first_id = device.next_prekey_id
    delete_oldest_prekeys(tx, MAX_STORED_PREKEYS - made)
    if needs_rotation(context, tx, device):
        device = _rotate(context, tx, device, fresh)
    delete_expired_prekeys(tx, context.clock(), context.policy.signed_prekey_kept_ms)
    signed = require_signed_prekey(tx, device.signed_prekey_id)
    last_resort = require_last_resort_prekey(tx, device.last_resort_kyber_prekey_id)
    first_kyber_id = device.next_prekey_id + len(fresh.one_time)
    kyber = list(enumerate(fresh.kyber, first_kyber_id))
    one_time = list(enumerate(fresh.one_time, device.next_prekey_id))
    for prekey_id, key_pair in one_time:
        put_one_time_prekey(tx, prekey_id, key_pair)
    for prekey_id, prekey in kyber:
        put_kyber_prekey(tx, prekey_id, prekey)
    published = PublishedKeys(
        address=context.address,
        registration_id=context.registration_id,
        identity_key=context.identity_key_pair.public,
        signed_prekey=SignedPrekey(
            device.signed_prekey_id, signed.key_pair.public, signed.record.signature
        ),
        one_time_prekeys=tuple(OneTimePrekey(n, key_pair.public) for n, key_pair in one_time),
        kyber_prekeys=tuple(_public_part(*numbered) for numbered in kyber),
        last_resort_kyber_prekey=_public_part(device.last_resort_kyber_prekey_id, last_resort),
    )
    save_publication(tx, published.encode())
    next_id = first_kyber_id + len(kyber)
    note_made(tx, made, next_id - first_id, context.clock())
    save_device(tx, replace(device, next_prekey_id=next_id, publication_epoch=count_operation(tx)))
    return published


def _rotate(
    context: Context, tx: Transaction, device: DeviceRecord, fresh: _FreshKeys
) -> DeviceRecord:
    """Put new signed and last-resort prekeys in the place of the current ones."""
    now_ms, next_id = context.clock(), device.next_prekey_id
    signed = require_signed_prekey(tx, device.signed_prekey_id)
    put_signed_prekey(
        tx,
        device.signed_prekey_id,
        replace(signed, record=replace(signed.record, replaced_at_ms=now_ms)),
    )
    put_signed_prekey(tx, next_id, fresh.signed)
    last_resort = require_last_resort_prekey(tx, device.last_resort_kyber_prekey_id)
    put_kyber_prekey(
        tx,
        device.last_resort_kyber_prekey_id,
        replace(last_resort, record=replace(last_resort.record, replaced_at_ms=now_ms)),
    )
    put_kyber_prekey(tx, next_id + 1, fresh.last_resort)
    return replace(
        device,
        signed_prekey_id=next_id,
        last_resort_kyber_prekey_id=next_id + 1,
        next_prekey_id=next_id + 2,
    )


def _public_part(prekey_id: int, prekey: OwnKyberPrekey) -> KyberPrekey:
    return KyberPrekey(prekey_id, prekey.key_pair.public, prekey.record.signature)
