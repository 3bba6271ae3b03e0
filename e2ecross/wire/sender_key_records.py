# SPDX-License-Identifier: Apache-2.0
"""Records of sender keys: our own, and those of others.

Values hold secrets as plain bytes; they do not show them. Encoding: `record_encoding.py`. Seeds of
messages that have not arrived are records of `session_records.py`.

Source: docs/wire-format.md, records at rest.
"""

from typing import Final, NamedTuple

from e2ecross.crypto.keys import PRIVATE_KEY_BYTES, PUBLIC_KEY_BYTES, PublicKey, decode_public_key
from e2ecross.crypto.secret import SecretTuple
from e2ecross.errors import InvalidArgument, InvalidKey, RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.group import GroupDestination, GroupId
from e2ecross.wire.limits import COMMIT_HASH_BYTES
from e2ecross.wire.record_encoding import check_lengths, decode_record, encode_record
from e2ecross.wire.sender_key_message import DISTRIBUTION_ID_BYTES

__all__ = ["JUDGED_BYTES", "KeyOrigin", "OwnSenderKeyRecord", "SenderKeyRecord"]

_CHAIN_KEY_BYTES: Final = 32
JUDGED_BYTES: Final = 98
"""Two hashes, an account key and a role; `device/group_judging.py` makes it."""
_CONTEXT_HASH_BYTES: Final = 32


class _OwnSenderKeyFields(NamedTuple):
    chain_id: int
    iteration: int
    chain_key: bytes
    signing_private_key: bytes
    distribution_id: bytes = b""
    heads: tuple[bytes, ...] = ()
    created_at_ms: int = 0
    checked_heads: bytes = b""
    checked_changes: int = 0
    checked_at_ms: int = 0


class OwnSenderKeyRecord(SecretTuple, _OwnSenderKeyFields):
    """What we send to a group with.

    Attributes:
        chain_id: of the key.
        iteration: of the next message.
        chain_key: at that iteration, 32 bytes, secret.
        signing_private_key: 32 bytes, secret.
        distribution_id: of a group of ours, 16 bytes; else empty, as all that follows.
        heads: at which the key was made, 1 to 16, 32 bytes each.
        created_at_ms: milliseconds since 1970.
        checked_heads: context hash of all heads that were held when its recipients were last gone
            through, 32 bytes, or empty.
        checked_changes: how many changes of accounts had been counted then.
        checked_at_ms: when that was, milliseconds since 1970.
    """

    __slots__ = ()

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.OwnSenderKeyRecord(
                distribution_id=self.distribution_id,
                heads=self.heads,
                chain_id=self.chain_id,
                iteration=self.iteration,
                chain_key=self.chain_key,
                signing_private_key=self.signing_private_key,
                created_at_ms=self.created_at_ms,
                checked_heads=self.checked_heads,
                checked_changes=self.checked_changes,
                checked_at_ms=self.checked_at_ms,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "OwnSenderKeyRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a record of an own sender key"
        fields = decode_record(storage_pb2.OwnSenderKeyRecord, data, what)
        is_ours = bool(fields.heads)
        check_lengths(
            what,
            (fields.chain_key, _CHAIN_KEY_BYTES),
            (fields.signing_private_key, PRIVATE_KEY_BYTES),
            (fields.distribution_id, DISTRIBUTION_ID_BYTES if is_ours else 0),
            (fields.checked_heads, _CONTEXT_HASH_BYTES if fields.checked_heads else 0),
            *((each, COMMIT_HASH_BYTES) for each in fields.heads),
        )
        return cls(
            fields.chain_id,
            fields.iteration,
            fields.chain_key,
            fields.signing_private_key,
            fields.distribution_id,
            tuple(fields.heads),
            fields.created_at_ms,
            fields.checked_heads,
            fields.checked_changes,
            fields.checked_at_ms,
        )


class KeyOrigin(NamedTuple):
    """Where a key of a group of ours comes from.

    Attributes:
        made: the group, and the heads at which its sender made the key.
        identity_key: of the session that brought it, 33 bytes.
    """

    made: GroupDestination
    identity_key: PublicKey


class _SenderKeyFields(NamedTuple):
    iteration: int
    chain_key: bytes
    signing_key: bytes
    seeds: int
    number: int
    origin: KeyOrigin | None = None
    judged: bytes = b""


class SenderKeyRecord(SecretTuple, _SenderKeyFields):
    """What another device sends to a group with; its chain id names the row.

    Attributes:
        iteration: of the next message that is expected.
        chain_key: at that iteration, 32 bytes, secret.
        signing_key: 33 bytes.
        seeds: how many of messages before that one are stored, in rows of their own.
        number: the newest of all keys of that device has the highest.
        origin: of a key of a group of ours; None: of a foreign group.
        judged: where its last message was found to be allowed, 98 bytes; or empty.
    """

    __slots__ = ()

    def encode(self) -> bytes:
        """Return the record's bytes."""
        origin = self.origin
        return encode_record(
            storage_pb2.SenderKeyRecord(
                group_id=b"" if origin is None else origin.made.group_id.value,
                heads=() if origin is None else origin.made.heads,
                identity_key=b"" if origin is None else origin.identity_key,
                iteration=self.iteration,
                chain_key=self.chain_key,
                signing_key=self.signing_key,
                seeds=self.seeds,
                number=self.number,
                judged_heads=self.judged,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "SenderKeyRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a record of a sender key"
        fields = decode_record(storage_pb2.SenderKeyRecord, data, what)
        check_lengths(
            what, (fields.chain_key, _CHAIN_KEY_BYTES), (fields.signing_key, PUBLIC_KEY_BYTES)
        )
        if fields.judged_heads:
            check_lengths(what, (fields.judged_heads, JUDGED_BYTES))
        return cls(
            *(fields.iteration, fields.chain_key, fields.signing_key, fields.seeds, fields.number),
            *(_decode_origin(fields, what), fields.judged_heads),
        )


def _decode_origin(fields: storage_pb2.SenderKeyRecord, what: str) -> KeyOrigin | None:
    if not (fields.group_id or fields.heads or fields.identity_key or fields.judged_heads):
        return None
    try:
        made = GroupDestination(GroupId(fields.group_id), tuple(fields.heads))
        return KeyOrigin(made, decode_public_key(fields.identity_key))
    except (InvalidArgument, InvalidKey) as error:
        raise RecordCorrupted(f"{what} names no group: the store is damaged") from error
