# SPDX-License-Identifier: Apache-2.0
"""The back end of the page: a `Relay` whose operator looks at all that passes, and may hold it.

Rules:
- What is shown is what was committed or handed out here, not what a phone says of it.
- It holds no key: neither does who looks.
- What is remembered of what has passed is bounded; the oldest goes.
"""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

from e2ecross.address import Address, UserId
from e2ecross.errors import UnknownRecipient
from e2ecross.relay import Relay
from e2ecross.relay.depositing import DepositCall
from e2ecross.relay.limits import RelayLimits
from e2ecross.service.credentials import KEY_BYTES, CredentialCheck, make_credential
from e2ecross.wire.bundle import PublishedKeys
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys, Waiting

__all__ = ["Holds", "Say", "WatchedRelay"]

Holds = Callable[[Address, bytes], bool]
Say = Callable[[Mapping[str, Any]], None]
Key = TypeVar("Key")
Value = TypeVar("Value")

_KEYS: Final = "public keys"
_LIST: Final = "device list"
_LINK: Final = "message of linking"
_SHOWN_BYTES: Final = 64
_REMEMBERED: Final = 4_000
_KEPT_ENVELOPES: Final = 256
_CREDENTIAL_MS: Final = 60 * 60 * 1000
_MIB: Final = 1024 * 1024
_LIMITS: Final = RelayLimits(
    mailbox_messages=2_000, blob_bytes=2 * _MIB, blobs_per_user_bytes=128 * _MIB
)
"""What one page can fill the disk with."""


class _Newest(OrderedDict[Key, Value], Generic[Key, Value]):
    """A dictionary of the newest entries."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        if len(self) > self._most:
            self.popitem(last=False)


class _Passed(NamedTuple):
    """What is known of a blob."""

    number: int
    what: str
    sender: str
    hex: str


class WatchedRelay(Relay):
    """A relay that is looked at.

    Attributes:
        key_source: asked whenever somebody asks for somebody's keys: returns an answer, or None:
            the true one is given.

    Args:
        folder: where its file is, and its folder of files.
        say: hears of each blob that passes.
    """

    def __init__(self, folder: Path, say: Say) -> None:
        self.file = folder / "relay.db"
        self.blob_folder = folder / "relay-files"
        # Others on this machine reach it, too.
        self._key = secrets.token_bytes(KEY_BYTES)
        check = CredentialCheck(self._key)
        super().__init__(self.file, blob_dir=self.blob_folder, limits=_LIMITS, authorise=check)
        self._say = say
        self._watching = threading.RLock()
        self._count = 0
        self._passed: _Newest[bytes, _Passed] = _Newest(_REMEMBERED)
        self._fetched: _Newest[object, bool] = _Newest(_REMEMBERED)
        self._sizes: _Newest[bytes, tuple[str, int]] = _Newest(_REMEMBERED)
        self._envelopes: _Newest[tuple[str, str], bytes] = _Newest(_KEPT_ENVELOPES)
        self._lists: _Newest[tuple[str, bytes], bool] = _Newest(_REMEMBERED)
        self._by_hand: _Newest[bytes, bool] = _Newest(_REMEMBERED)
        self._holds: list[Holds] = []
        self.key_source: (
            Callable[[UserId, KeysWanted], UserKeys | UnknownRecipient | None] | None
        ) = None

    # --- What passes ----------------------------------------------------------------------------

    def _deposit(self, calls: Sequence[DepositCall]) -> list[Deposited]:
        with self._watching:  # who fetches it waits, or would be seen before it
            deposited = super()._deposit(calls)
            for call, came in zip(calls, deposited, strict=True):
                for place, envelope in enumerate(call.envelopes):
                    if place not in came.refused:
                        self._note_envelope(envelope)
        return deposited

    def deposit_copies(
        self, token: bytes, copies: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> Deposited:
        """See `Relay`."""
        with self._watching:
            deposited = super().deposit_copies(token, copies, epochs=epochs)
            decoded = EnvelopeCopies.decode(copies)
            taken = [
                recipient
                for place, recipient in enumerate(decoded.recipients)
                if place not in deposited.refused
            ]
            if taken:
                each = [decoded.encode_for(recipient) for recipient in taken]
                self._note(each, "group message", decoded.sender, taken, decoded.ciphertext)
        return deposited

    def _note_envelope(self, encoded: bytes) -> None:
        envelope = Envelope.decode(encoded)
        what = "group message" if envelope.kind is MessageKind.SENDER_KEY else "message"
        recipients = [envelope.recipient]
        self._note([encoded], what, envelope.sender, recipients, envelope.ciphertext)

    def _note(
        self,
        envelopes: Sequence[bytes],
        what: str,
        sender: Address,
        recipients: Sequence[Address],
        ciphertext: bytes,
    ) -> None:
        digests = [_digest(encoded) for encoded in envelopes]
        with self._watching:
            if all(digest in self._passed for digest in digests):
                return  # a repetition, which changes nothing
            passed = self._new(what, str(sender), ciphertext)
            for digest in digests:
                self._passed[digest] = passed
            for encoded, recipient in zip(envelopes, recipients, strict=True):
                message_id = Envelope.decode(encoded).message_id.hex()
                self._envelopes[message_id, str(recipient)] = encoded
            self._tell(passed, recipients, len(envelopes[0]), "deposited")

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        """See `Relay`; what is held back is left out."""
        with self._watching:  # what was read while it was held is not handed out after it
            found = super().fetch(
                address, token, limit, after, wait_ms=wait_ms, hold_ms=hold_ms, holder=holder
            )
            for holds in self._holds:
                found = [each for each in found if not holds(address, each.envelope)]
            for number, encoded in found:
                self._note_fetched(number, address, encoded)
        return found

    def _note_fetched(self, number: int, address: Address, encoded: bytes) -> None:
        with self._watching:
            if number in self._fetched:
                return
            self._fetched[number] = True
            passed = self._passed.get(_digest(encoded))
            if passed is None:
                return  # so old that it is forgotten
            self._tell(passed, [address], len(encoded), "fetched")

    # --- Files ----------------------------------------------------------------------------------

    def begin_blob(self, address: Address, token: bytes, blob_id: bytes, size: int) -> int:
        """See `Relay`."""
        stored = super().begin_blob(address, token, blob_id, size)
        with self._watching:
            self._sizes[_digest(blob_id)] = (str(address), size)
        return stored

    def put_blob(
        self, address: Address, token: bytes, blob_id: bytes, offset: int, data: bytes
    ) -> int:
        """See `Relay`."""
        stored = super().put_blob(address, token, blob_id, offset, data)
        key = _digest(blob_id)
        with self._watching:
            sender, size = self._sizes.get(key, (str(address), 0))
            if offset == 0 and key not in self._passed:
                self._passed[key] = self._new("file", sender, data)
            if stored == size and (passed := self._passed.get(key)) is not None:
                self._tell(passed, (), size, "deposited")
        return stored

    def get_blob(self, blob_id: bytes, offset: int, length: int) -> bytes:
        """See `Relay`; a file is shown as fetched when its beginning is."""
        found = super().get_blob(blob_id, offset, length)
        if offset == 0:
            key = _digest(blob_id)
            with self._watching:
                if (passed := self._passed.get(key)) is not None:
                    _, size = self._sizes.get(key, ("", length))
                    self._tell(passed, (), size, "fetched")
        return found

    # --- Keys -----------------------------------------------------------------------------------

    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        """See `Relay`."""
        with self._watching:
            super().publish(token, published, epoch=epoch, replace=replace)
            self._note_kept(_KEYS, str(published.address), published.encode())

    def publish_devices(
        self, token: bytes, signed_list: bytes, tokens: Mapping[int, bytes], *, epoch: int = 0
    ) -> None:
        """See `Relay`."""
        with self._watching:
            super().publish_devices(token, signed_list, tokens, epoch=epoch)
            user = SignedDeviceList.decode(signed_list).list.user
            self._note_kept(_LIST, str(user), signed_list)

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        """See `Relay`; the keys of some may come from somewhere else."""
        found = super().fetch_keys(requester, token, wanted)
        if self.key_source is not None:
            for place, keys in enumerate(wanted):
                other = self.key_source(requester.user_id, keys)
                if other is not None:
                    found[place] = other
        with self._watching:
            for keys, answer in zip(wanted, found, strict=True):
                if isinstance(answer, UserKeys):
                    self._note_handed_out(requester, str(keys.user), answer)
        return found

    def _note_handed_out(self, requester: Address, user: str, keys: UserKeys) -> None:
        asked = (str(requester.user_id), _digest(keys.device_list))
        if keys.device_list and asked not in self._lists:
            passed = self._passed.get(asked[1]) or self._new(_LIST, user, keys.device_list)
            self._tell(passed, [requester], len(keys.device_list), "fetched")
        self._lists[asked] = True
        for bundle in keys.bundles:  # each with a one-time prekey of its own
            encoded = bundle.encode()
            passed = self._new(_KEYS, str(bundle.address), encoded)
            self._tell(passed, [requester], len(encoded), "fetched")

    def _note_kept(self, what: str, sender: str, encoded: bytes) -> None:
        if _digest(encoded) not in self._passed:
            passed = self._passed[_digest(encoded)] = self._new(what, sender, encoded)
            self._tell(passed, (), len(encoded), "deposited")

    # --- Linking --------------------------------------------------------------------------------

    def put_link(
        self,
        link_id: bytes,
        slot: int,
        data: bytes,
        *,
        address: Address | None = None,
        token: bytes = b"",
    ) -> None:
        """See `Relay`."""
        with self._watching:
            super().put_link(link_id, slot, data, address=address, token=token)
            self._note_kept(_LINK, "" if address is None else str(address), data)

    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        """See `Relay`; it is asked again and again, and shown once."""
        data = super().get_link(link_id, slot)
        with self._watching:
            key = b"" if data is None else _digest(data)
            if data is not None and (passed := self._passed.get(key)) is not None:
                if key not in self._fetched:
                    self._tell(passed, (), len(data), "fetched")
                self._fetched[key] = True
        return data

    # --- What its operator does -----------------------------------------------------------------

    def credential_for(self, address: Address) -> bytes:
        """Return with what a phone registers at that address within the hour, secret."""
        return make_credential(self._key, address, _now_ms() + _CREDENTIAL_MS)

    def hold(self, holds: Holds) -> None:
        """Hold envelopes back from now on.

        Args:
            holds: asked of each envelope that a device fetches, with the device's address and the
                envelope; True: it is not handed out now.
        """
        with self._watching:
            self._holds.append(holds)

    def release(self, holds: Holds) -> None:
        """Do not ask it any more; fetching that is under way ends first."""
        with self._watching:
            self._holds.remove(holds)

    def find(self, message_id: str, recipient: str) -> bytes | None:
        """Return an envelope that has passed lately, by its id in hexadecimal and its recipient."""
        with self._watching:
            return self._envelopes.get((message_id, recipient))

    def has_handed_out(self, user: str, device_list: bytes) -> bool:
        """Tell whether a user has been given a list of devices (encoded), lately."""
        with self._watching:
            return (user, _digest(device_list)) in self._lists

    def note_by_hand(self, encoded: bytes) -> None:
        """Show an envelope that its operator is about to put into a mailbox, past all rules."""
        with self._watching:
            self._passed.pop(_digest(encoded), None)  # it is another blob, if it has the same bytes
            self._by_hand[_digest(encoded)] = True
            self._note_envelope(encoded)

    def was_put_by_hand(self, encoded: bytes) -> bool:
        """Tell whether an envelope was, lately."""
        with self._watching:
            return _digest(encoded) in self._by_hand

    def ring(self, address: str) -> None:
        """Wake who waits for a mailbox: something in it has changed."""
        self._ring([Address.parse(address)])

    # --- Telling --------------------------------------------------------------------------------

    def _new(self, what: str, sender: str, data: bytes) -> _Passed:
        self._count += 1
        return _Passed(self._count, what, sender, data[:_SHOWN_BYTES].hex())

    def _tell(self, passed: _Passed, recipients: Sequence[Address], size: int, step: str) -> None:
        self._say(
            {
                **{"type": "blob", "number": passed.number, "what": passed.what},
                **{"from": passed.sender, "to": [str(each) for each in recipients]},
                **{"bytes": size, "hex": passed.hex, "step": step},
                "at_ms": _now_ms(),
            }
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
