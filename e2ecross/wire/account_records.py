# SPDX-License-Identifier: Apache-2.0
"""Records of accounts: the lists of their devices, and what is to be done about them.

Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.address import MAX_DEVICE
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList, is_hosting
from e2ecross.wire.record_encoding import check_lengths, decode_record, encode_record

__all__ = [
    "AccountRecord",
    "DeviceName",
    "NewDevice",
    "OwnAccountRecord",
    "decode_push",
    "encode_push",
]

_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What is known of an account.

    Attributes:
        held: the newest accepted list of its devices; None: none was seen.
        accepted_at_ms: when it was accepted, milliseconds since 1970.
        rival: another list under the same key, which contradicts it.
        changed_seq: the number at which devices or their keys last changed, as seen here.
        written: the user has accepted it, mostly by writing to it: it may be sent device lists.
        checked_at_ms: when the back end was last asked because of a hint.
        check_wanted: a hint has said that there is a newer or another list.
        hosting_unseen: more than before hold its keys, and the user has not confirmed that.
        fork_noted: the app was told of a contradiction.
        has_list: a list was accepted, under this key or another, or an own device has told of the
            key: without a list nobody but device 1 is believed.
    """

    held: SignedDeviceList | None = None
    accepted_at_ms: int = 0
    rival: SignedDeviceList | None = None
    changed_seq: int = 0
    written: bool = False
    checked_at_ms: int = 0
    check_wanted: bool = False
    hosting_unseen: bool = False
    fork_noted: bool = False
    has_list: bool = False

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.AccountRecord(
                signed_list=_encode_list(self.held),
                accepted_at_ms=self.accepted_at_ms,
                rival=_encode_list(self.rival),
                changed_seq=self.changed_seq,
                written=self.written,
                checked_at_ms=self.checked_at_ms,
                check_wanted=self.check_wanted,
                hosting_unseen=self.hosting_unseen,
                fork_noted=self.fork_noted,
                has_list=self.has_list,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "AccountRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        fields = decode_record(storage_pb2.AccountRecord, data, "an account record")
        return cls(
            _decode_list(fields.signed_list),
            fields.accepted_at_ms,
            _decode_list(fields.rival),
            fields.changed_seq,
            fields.written,
            fields.checked_at_ms,
            fields.check_wanted,
            fields.hosting_unseen,
            fields.fork_noted,
            fields.has_list,
        )


class NewDevice(NamedTuple):
    """A device that was linked, and is not known to have published keys.

    Attributes:
        device: its number.
        token_hash: SHA-256 of its token at the back end, 32 bytes.
        linked_at_ms: milliseconds since 1970.
    """

    device: int
    token_hash: bytes
    linked_at_ms: int


class DeviceName(NamedTuple):
    """What device 1 knows of another device of its account.

    Attributes:
        device: its number.
        name: what it calls itself.
        linked_at_ms: milliseconds since 1970.
        last_seen_ms: when a message came from it, to the day.
        changing_since_ms: when the day began in which its new capabilities are counted.
        changes: how many there were since.
    """

    device: int
    name: str
    linked_at_ms: int
    last_seen_ms: int = 0
    changing_since_ms: int = 0
    changes: int = 0

    def __repr__(self) -> str:
        return f"<DeviceName of device {self.device}>"


@dataclass(frozen=True, slots=True)
class OwnAccountRecord:
    """What device 1 knows of its own account; another has when it was linked, and what expired.

    Attributes:
        published: the back end has the newest list.
        new_devices: linked, and without keys at the back end or pins so far.
        names: of the other devices.
        next_device: the number of the next one; 128: all were given, and the lowest free one is.
        must_reset: restored or imported: only a reset is signed.
        conflict: somebody else has signed a list with the account's key.
        linked_at_ms: when this device was linked, milliseconds since 1970; of device 1 it is 0.
        expired_seq: number of the list that the app was told has expired; 0: of none.
        foreign_hosting: the most that a list says of who holds the account's keys, of those that
            somebody else has signed.
        foreign_vendor: of that list.
    """

    published: bool = False
    new_devices: tuple[NewDevice, ...] = ()
    names: tuple[DeviceName, ...] = ()
    next_device: int = PRIMARY + 1
    must_reset: bool = False
    conflict: bool = False
    linked_at_ms: int = 0
    expired_seq: int = 0
    foreign_hosting: int = 0
    foreign_vendor: str = ""

    def encode(self) -> bytes:
        """Return the record's bytes."""
        fields = storage_pb2.OwnAccountRecord(
            published=self.published,
            next_device=self.next_device,
            must_reset=self.must_reset,
            conflict=self.conflict,
            linked_at_ms=self.linked_at_ms,
            expired_seq=self.expired_seq,
            foreign_hosting=self.foreign_hosting,
            foreign_vendor=self.foreign_vendor,
        )
        for new in self.new_devices:
            fields.new_devices.add(**new._asdict())
        for name in self.names:
            fields.names.add(**name._asdict())
        return encode_record(fields)

    @classmethod
    def decode(cls, data: bytes) -> "OwnAccountRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "the record of the own account"
        fields = decode_record(storage_pb2.OwnAccountRecord, data, what)
        check_lengths(what, *((new.token_hash, _HASH_BYTES) for new in fields.new_devices))
        numbers = [new.device for new in fields.new_devices]
        numbers += [name.device for name in fields.names]
        if not (
            all(PRIMARY < number <= MAX_DEVICE for number in numbers)
            and PRIMARY < fields.next_device <= MAX_DEVICE + 1
        ):
            raise RecordCorrupted(f"{what} names a device that cannot be: the store is damaged")
        if not is_hosting(fields.foreign_hosting, fields.foreign_vendor):
            raise RecordCorrupted(f"{what} says of hosting what no list says: the store is damaged")
        return cls(
            fields.published,
            tuple(
                NewDevice(new.device, new.token_hash, new.linked_at_ms)
                for new in fields.new_devices
            ),
            tuple(
                DeviceName(
                    each.device,
                    each.name,
                    each.linked_at_ms,
                    each.last_seen_ms,
                    each.changing_since_ms,
                    each.changes,
                )
                for each in fields.names
            ),
            fields.next_device,
            fields.must_reset,
            fields.conflict,
            fields.linked_at_ms,
            fields.expired_seq,
            fields.foreign_hosting,
            fields.foreign_vendor,
        )


def encode_push(pushed_at_ms: int) -> bytes:
    """Return the record of when a device was sent a list, milliseconds since 1970."""
    return encode_record(storage_pb2.PushRecord(pushed_at_ms=pushed_at_ms))


def decode_push(data: bytes) -> int:
    """Return when a device was sent a list, milliseconds since 1970.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    return decode_record(storage_pb2.PushRecord, data, "a push record").pushed_at_ms


def _encode_list(signed: SignedDeviceList | None) -> bytes:
    return b"" if signed is None else signed.encode()


def _decode_list(data: bytes) -> SignedDeviceList | None:
    try:
        return SignedDeviceList.decode(data) if data else None
    except RemoteError as error:
        raise RecordCorrupted("an account record holds no list: the store is damaged") from error
