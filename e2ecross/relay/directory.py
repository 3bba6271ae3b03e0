# SPDX-License-Identifier: Apache-2.0
"""The directory: who has registered, and the public keys that they have published.

Rules:
- Of a token only its SHA-256 is kept, and compared in constant time. A wrong token and an unknown
  address are the same error.
- A one-time prekey is handed out once (`prekeys.py`), one of each kind with a bundle. When no
  Kyber one is left, the last-resort one is handed out in its place. A bundle has a Kyber prekey if
  the latest publication had a last-resort one.
- One-time prekeys belong to an identity key: a new one drops those of the old one.
- Of a device the highest epoch that it told is kept: how many operations its store has committed.
  It never goes down, except with a reset: then it is another device.
- A publication that is late, which its epoch tells, does not put an older signed prekey back. Its
  one-time prekeys count: their private halves are kept until they are used, and no id is used
  twice, so a later publication takes nothing back. Only one that replaces (the store was
  restored) does; nothing of an earlier one comes after that.
- Signatures are not checked here: devices do not trust the relay, and check them themselves.

Each function runs inside a transaction of the caller.
"""

import hashlib
import hmac
from typing import Final

from e2ecross.address import MAX_DEVICE, Address, UserId
from e2ecross.errors import (
    BackendError,
    InvalidArgument,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.relay import prekeys
from e2ecross.relay.database import Connection
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.prekeys import Prekey, PrekeyKind
from e2ecross.relay.rows import read_row, read_rows, require_row
from e2ecross.wire.bundle import KyberPrekey, OneTimePrekey, PreKeyBundle, PublishedKeys

__all__ = [
    "NO_DIGEST",
    "claim",
    "devices",
    "devices_with_keys",
    "drop",
    "hand_out_bundle",
    "holder",
    "is_held_under",
    "is_holder",
    "is_registered",
    "not_registered",
    "publish",
    "replace_token",
    "require_holder",
    "token_sha256",
    "unused_count",
]

# Compared with when there is no account, so that its absence takes as long as a wrong token.
NO_DIGEST: Final = bytes(hashlib.sha256().digest_size)


def is_registered(connection: Connection, address: Address) -> bool:
    """Tell whether the address has been claimed."""
    return _token_digest(connection, address) is not None


def token_sha256(token: bytes) -> bytes:
    """Return what is kept of a token (32 bytes, secret), 32 bytes."""
    return hashlib.sha256(token).digest()


def is_holder(connection: Connection, address: Address, token: bytes) -> bool:
    """Tell whether the token (32 bytes, secret) is that of the address."""
    return is_held_under(connection, address, token_sha256(token))


def is_held_under(connection: Connection, address: Address, sha256: bytes) -> bool:
    """Tell whether this is the SHA-256 of the token of the address, 32 bytes."""
    digest = _token_digest(connection, address)
    matches = hmac.compare_digest(digest or NO_DIGEST, sha256)
    return matches and digest is not None


def holder(connection: Connection, token: bytes) -> str | None:
    """Return an address that the token (32 bytes, secret) is that of, or None."""
    row = read_row(
        connection,
        "SELECT address FROM accounts WHERE token_sha256 = ? LIMIT 1",
        (token_sha256(token),),
        str,
    )
    return None if row is None else row[0]


def require_holder(connection: Connection, address: Address, token: bytes) -> None:
    """Let only the holder of the address go on.

    Raises:
        NotRegistered: the token is not that of the address, or nobody has claimed it.
    """
    if not is_holder(connection, address, token):
        raise not_registered(address)


def not_registered(address: Address) -> NotRegistered:
    """The error of a token that is not that of the address, or of an address nobody has claimed."""
    return NotRegistered(
        f"{address} is not registered with this token: register it, or use the token that it "
        f"was registered with"
    )


def claim(connection: Connection, address: Address, sha256: bytes) -> None:
    """Give the address to the token with this SHA-256, 32 bytes.

    Published keys and epoch of a former holder are dropped. Its mailbox is not touched here.
    """
    _drop_published(connection, address)
    connection.execute(
        "INSERT INTO accounts (address, token_sha256) VALUES (?, ?) ON CONFLICT (address)"
        " DO UPDATE SET token_sha256 = excluded.token_sha256, registration_id = NULL,"
        " identity_key = NULL, signed_prekey_id = NULL, signed_prekey = NULL,"
        " signed_prekey_signature = NULL, kyber_prekey_id = NULL, kyber_prekey = NULL,"
        " kyber_prekey_signature = NULL",
        (str(address), sha256),
    )


def drop(connection: Connection, address: Address) -> None:
    """Forget an address, its token and its keys. Its mailbox is not touched here."""
    _drop_published(connection, address)
    connection.execute("DELETE FROM accounts WHERE address = ?", (str(address),))


def replace_token(connection: Connection, address: Address, token: bytes) -> None:
    """Give a registered address to another token of the same user; everything else stays."""
    connection.execute(
        "UPDATE accounts SET token_sha256 = ? WHERE address = ?",
        (token_sha256(token), str(address)),
    )


def devices(connection: Connection, user: UserId) -> list[int]:
    """Return which devices of a user are registered, in ascending order.

    Raises:
        BackendError: somebody has written what is no address into the file.
    """
    return _numbers(connection, user, "SELECT address FROM accounts WHERE address >= ?")


def devices_with_keys(connection: Connection, user: UserId) -> list[int]:
    """Return which devices of a user have published keys, in ascending order; see `devices`."""
    query = "SELECT address FROM accounts WHERE identity_key IS NOT NULL AND address >= ?"
    return _numbers(connection, user, query)


def publish(
    connection: Connection,
    published: PublishedKeys,
    limits: RelayLimits,
    told: int,
    replace: bool,
) -> None:
    """Set the keys of a registered address, and add its new one-time prekeys.

    Args:
        connection: inside a writing transaction.
        published: the keys.
        limits: how many one-time prekeys are kept.
        told: the epoch of the publication, 0 if it was not told: then it is never late.
        replace: whether unused one-time prekeys of earlier publications are void.

    Raises:
        BackendRefused: too many one-time prekeys are unused.
    """
    _forget_other_identity(connection, published)
    published_epoch, replaced_epoch = require_row(
        connection,
        "SELECT published_epoch, replaced_epoch FROM accounts WHERE address = ?",
        (str(published.address),),
        int,
        int,
    )
    if 0 < told < replaced_epoch:
        return  # of before the store was restored
    if told == 0 or told >= published_epoch:
        _set_keys(connection, published)
    one_time = {
        PrekeyKind.X25519: [Prekey(key.id, key.public_key) for key in published.one_time_prekeys],
        PrekeyKind.KYBER: [
            Prekey(key.id, key.public_key, key.signature) for key in published.kyber_prekeys
        ],
    }
    for kind, keys in one_time.items():
        if replace:
            prekeys.withdraw(connection, published.address, kind, keys, told)
        prekeys.add(connection, published.address, kind, keys, limits, told)
    connection.execute(
        "UPDATE accounts SET published_epoch = ?, replaced_epoch = ? WHERE address = ?",
        (
            max(published_epoch, told),
            max(replaced_epoch, told) if replace else replaced_epoch,
            str(published.address),
        ),
    )


def unused_count(connection: Connection, address: Address) -> int:
    """Return how many one-time prekeys of the address are left to hand out.

    Of two kinds, if it offers Kyber prekeys: the lower number.
    """
    unused = prekeys.unused_count(connection, address, PrekeyKind.X25519)
    offers_kyber = read_row(
        connection,
        "SELECT kyber_prekey_id FROM accounts WHERE address = ? AND kyber_prekey_id IS NOT NULL",
        (str(address),),
        int,
    )
    if offers_kyber is None:
        return unused
    return min(unused, prekeys.unused_count(connection, address, PrekeyKind.KYBER))


def hand_out_bundle(
    connection: Connection, address: Address, one_time: bool
) -> tuple[PreKeyBundle, bool]:
    """Return the keys of the address; one-time prekeys in them are used up with this.

    Args:
        connection: inside a writing transaction.
        address: whose keys.
        one_time: whether one-time prekeys may be in it.

    Returns:
        The bundle, and whether a one-time prekey is in it.

    Raises:
        UnknownRecipient: the address has not published keys.
        BackendError: what the file holds are not keys.
    """
    row = read_row(
        connection,
        "SELECT registration_id, identity_key, signed_prekey_id, signed_prekey,"
        " signed_prekey_signature FROM accounts WHERE address = ? AND identity_key IS NOT NULL",
        (str(address),),
        *(int, bytes, int, bytes, bytes),
    )
    if row is None:
        raise UnknownRecipient(f"{address} has published no keys: it has to register first")
    registration_id, identity_key, signed_prekey_id, signed_prekey, signature = row
    last_resort = _last_resort(connection, address)
    used = prekeys.use_up(connection, address, PrekeyKind.X25519) if one_time else None
    used_kyber = None
    if one_time and last_resort is not None:
        used_kyber = prekeys.use_up(connection, address, PrekeyKind.KYBER)
    handed_out = used_kyber or last_resort
    try:
        # Through these, because a bundle does not check lengths.
        prekey = None if used is None else OneTimePrekey(used.id, used.public_key)
        kyber = None if handed_out is None else KyberPrekey(*handed_out)
        bundle = PreKeyBundle(
            address=address,
            registration_id=registration_id,
            identity_key=identity_key,
            signed_prekey_id=signed_prekey_id,
            signed_prekey=signed_prekey,
            signed_prekey_signature=signature,
            one_time_prekey_id=None if prekey is None else prekey.id,
            one_time_prekey=None if prekey is None else prekey.public_key,
            kyber_prekey_id=None if kyber is None else kyber.id,
            kyber_prekey=None if kyber is None else kyber.public_key,
            kyber_prekey_signature=None if kyber is None else kyber.signature,
        )
    except InvalidArgument as error:  # somebody has written into the file
        raise BackendError(f"the keys of {address} in the relay file are damaged") from error
    return bundle, used is not None or used_kyber is not None


def _drop_published(connection: Connection, address: Address) -> None:
    prekeys.drop_all(connection, address)
    connection.execute("DELETE FROM epochs WHERE address = ?", (str(address),))


def _numbers(connection: Connection, user: UserId, query: str) -> list[int]:
    # The addresses of a user are between these texts: from its dot to the character after it.
    between = (f"{user}.", f"{user}/", MAX_DEVICE)
    rows = read_rows(connection, f"{query} AND address < ? LIMIT ?", between, str)
    try:
        return sorted(Address.parse(address).device for (address,) in rows)
    except InvalidArgument as error:
        raise BackendError(f"the addresses of {user} in the relay file are damaged") from error


def _last_resort(connection: Connection, address: Address) -> Prekey | None:
    row = read_row(
        connection,
        "SELECT kyber_prekey_id, kyber_prekey, kyber_prekey_signature FROM accounts"
        " WHERE address = ? AND kyber_prekey_id IS NOT NULL",
        (str(address),),
        *(int, bytes, bytes),
    )
    return None if row is None else Prekey(*row)


def _forget_other_identity(connection: Connection, published: PublishedKeys) -> None:
    """Under another identity key (or the first) an id names another prekey: the old ids go."""
    changed = connection.execute(
        "UPDATE accounts SET published_epoch = 0, replaced_epoch = 0"
        " WHERE address = ? AND (identity_key IS NULL OR identity_key <> ?)",
        (str(published.address), published.identity_key),
    )
    if changed.rowcount:
        prekeys.drop_all(connection, published.address)


def _set_keys(connection: Connection, published: PublishedKeys) -> None:
    last_resort = published.last_resort_kyber_prekey
    connection.execute(
        "UPDATE accounts SET registration_id = ?, identity_key = ?, signed_prekey_id = ?,"
        " signed_prekey = ?, signed_prekey_signature = ?, kyber_prekey_id = ?, kyber_prekey = ?,"
        " kyber_prekey_signature = ? WHERE address = ?",
        (
            published.registration_id,
            published.identity_key,
            published.signed_prekey.id,
            published.signed_prekey.public_key,
            published.signed_prekey.signature,
            None if last_resort is None else last_resort.id,
            None if last_resort is None else last_resort.public_key,
            None if last_resort is None else last_resort.signature,
            str(published.address),
        ),
    )


def _token_digest(connection: Connection, address: Address) -> bytes | None:
    row = read_row(
        connection, "SELECT token_sha256 FROM accounts WHERE address = ?", (str(address),), bytes
    )
    return None if row is None else row[0]
