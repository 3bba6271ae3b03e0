# SPDX-License-Identifier: Apache-2.0
"""What calls do inside their transaction; of many users or envelopes each on its own.

The functions with a connection run inside a transaction of the caller.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from e2ecross.address import Address
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    RemoteError,
    UnknownRecipient,
)
from e2ecross.relay import allowance, directory, mailbox
from e2ecross.relay.limits import RelayLimits
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import MAX_DEVICES_OF_USER, Deposited, KeysWanted, UserKeys

__all__ = ["Batch", "claim", "decode_all", "deposit_each", "hand_out"]


def hand_out(
    connection: sqlite3.Connection,
    requester: Address,
    wanted: KeysWanted,
    limits: RelayLimits,
    now_ms: int,
) -> UserKeys | UnknownRecipient:
    """Return the keys that are wanted of one user, or that there are none."""
    user = wanted.user
    if wanted.devices is None:
        devices = directory.devices_with_keys(connection, user)[:MAX_DEVICES_OF_USER]
    else:
        devices = sorted(wanted.devices)
        if not devices and directory.has_devices(connection, user):
            return UserKeys(b"", ())
    allowance.forget_expired(connection, limits, now_ms)  # more than the devices of one user add
    bundles: list[PreKeyBundle] = []
    for device in devices:
        address = Address(user.app, user.user, device)
        pair = (requester.user_id, address)
        left = allowance.is_left(connection, *pair, limits, now_ms)
        try:
            bundle, is_one_time = directory.hand_out_bundle(connection, address, left)
        except UnknownRecipient:
            continue
        if is_one_time:
            allowance.use(connection, *pair, limits, now_ms)
        bundles.append(bundle)
    if not bundles:
        return UnknownRecipient(f"{user} has published no keys: it has to register first")
    return UserKeys(b"", tuple(bundles))


def claim(
    address: Address,
    tokens: tuple[bytes, bytes],
    allowed: bool | None,
    limits: RelayLimits,
    now_ms: int,
    connection: sqlite3.Connection,
) -> bool | None:
    """Give an address to a token, or return whether it is taken, to ask who may claim it.

    Args:
        address: which.
        tokens: the new one, and the one that it replaces, or empty: 32 bytes each, secret.
        allowed: whether the address was taken when the app let the claim go ahead; None: it was
            not asked.
        limits: what is remembered of a mailbox that is dropped.
        now_ms: the time, milliseconds since 1970.
        connection: inside a writing transaction.
    """
    token, replaces = tokens
    if directory.is_holder(connection, address, token):
        return None
    if replaces and directory.is_holder(connection, address, replaces):
        directory.replace_token(connection, address, token)
        return None
    taken = directory.is_registered(connection, address)
    if taken is allowed:
        directory.claim(connection, address, token)
        mailbox.make(connection, address)
        mailbox.drop_all(connection, address, limits, now_ms)
        return None
    return taken


class Batch(NamedTuple):
    """Envelopes of one call.

    Attributes:
        envelopes: encoded, as they came.
        decoded: by place, those that could be decoded.
        refused: by place, why the others could not.
    """

    envelopes: Sequence[bytes]
    decoded: dict[int, Envelope]
    refused: dict[int, BackendError]

    def __repr__(self) -> str:
        return f"<Batch of {len(self.envelopes)}>"


def decode_all(envelopes: Sequence[bytes]) -> Batch:
    """Decode what can be, outside of any transaction."""
    batch = Batch(envelopes, {}, {})
    for place, data in enumerate(envelopes):
        try:
            batch.decoded[place] = Envelope.decode(data)
        except RemoteError as error:
            batch.refused[place] = BackendRefused(f"this is no envelope: {error}")
    return batch


def deposit_each(
    connection: sqlite3.Connection,
    token: bytes,
    batch: Batch,
    told: int,
    limits: RelayLimits,
    now_ms: int,
) -> Deposited:
    """Put envelopes of one sender into mailboxes, in their order, and keep the epoch it tells.

    Args:
        connection: inside a writing transaction.
        token: the sender's, 32 bytes, secret.
        batch: the envelopes.
        told: the sender's epoch, 0 if it does not tell.
        limits: what is carried, and how many may wait.
        now_ms: the time, milliseconds since 1970.

    Raises:
        NotRegistered: the token is not that of any sender in them.
    """
    decoded, refused = batch.decoded, dict(batch.refused)
    if not decoded:
        return Deposited(refused)  # nobody that the token could be of
    sender = _holder(connection, token, decoded)
    mailbox.forget_expired(connection, limits, now_ms, len(decoded))
    for place, envelope in decoded.items():
        try:
            if envelope.sender != sender:
                raise BackendRefused(
                    f"the envelope is of {envelope.sender}, and the token that of {sender}"
                )
            _deposit(connection, envelope, batch.envelopes[place], limits)
        except BackendError as error:  # also of what is damaged in the file: nothing was written
            refused[place] = error.with_traceback(None)  # which would keep all envelopes
    # Whatever became of them: the ciphertexts have left the device.
    directory.record_epoch(connection, sender, told)
    return Deposited(dict(sorted(refused.items())), epochs={0: directory.epoch(connection, sender)})


def _holder(connection: sqlite3.Connection, token: bytes, decoded: dict[int, Envelope]) -> Address:
    """Return the sender that the token is of: one envelope of another does not decide over all."""
    senders = list(dict.fromkeys(envelope.sender for envelope in decoded.values()))
    held = (sender for sender in senders if directory.is_holder(connection, sender, token))
    sender = next(held, senders[0])
    directory.require_holder(connection, sender, token)
    return sender


def _deposit(
    connection: sqlite3.Connection, envelope: Envelope, encoded: bytes, limits: RelayLimits
) -> None:
    if len(encoded) > limits.envelope_bytes:
        raise BackendRefused(
            f"the envelope has {len(encoded)} bytes, this back end carries up to "
            f"{limits.envelope_bytes}"
        )
    mailbox.deposit(connection, envelope, encoded, limits)
