# SPDX-License-Identifier: Apache-2.0
"""Our end of a conversation, through the public API only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2ecross import Address, Device, MessageKind, PreKeyBundle
from e2ecross.errors import DuplicateMessage, RemoteError
from e2ecross.stores import SQLiteStore

from .peers import Bundle, Sealed


class Ours:
    """A device of ours with one contact; every operation opens the store anew and closes it."""

    refusal: type[Exception] = RemoteError
    duplicate: type[Exception] = DuplicateMessage

    def __init__(self, path: Path, address: Address, contact: Address) -> None:
        """Create the device in a store at `path`."""
        self.address = address
        self.contact = contact
        self._path = path
        store = SQLiteStore(path)
        Device.create(address, store)
        store.close()

    @contextmanager
    def device(self) -> Iterator[Device]:
        """The device, opened from its store for the length of the block."""
        store = SQLiteStore(self._path)
        try:
            yield Device.open(store)
        finally:
            store.close()

    def bundle(self, *, one_time: bool) -> Bundle:
        """The published keys, with a one-time prekey that was not handed out before, or none."""
        with self.device() as device:
            published = device.publish(one_time=1)
            device.confirm_published(published)
        once = published.one_time_prekeys[0] if one_time else None
        return Bundle(
            registration_id=published.registration_id,
            identity_key=published.identity_key,
            signed_prekey_id=published.signed_prekey.id,
            signed_prekey=published.signed_prekey.public_key,
            signed_prekey_signature=published.signed_prekey.signature,
            one_time_prekey_id=once.id if once else None,
            one_time_prekey=once.public_key if once else None,
        )

    def process(self, bundle: Bundle) -> None:
        """Start a session with the contact, whose bundle this is."""
        theirs = PreKeyBundle(
            address=self.contact,
            registration_id=bundle.registration_id,
            identity_key=bundle.identity_key,
            signed_prekey_id=bundle.signed_prekey_id,
            signed_prekey=bundle.signed_prekey,
            signed_prekey_signature=bundle.signed_prekey_signature,
            one_time_prekey_id=bundle.one_time_prekey_id,
            one_time_prekey=bundle.one_time_prekey,
        )
        with self.device() as device:
            device.start_session(theirs)

    def encrypt(self, plaintext: bytes) -> Sealed:
        """Encrypt for the contact."""
        with self.device() as device:
            return self.encrypt_with(device, plaintext)

    def encrypt_with(self, device: Device, plaintext: bytes) -> Sealed:
        """The same on an open device, for long runs."""
        kind, data = device.encrypt_raw(self.contact, plaintext)
        return Sealed(int(kind), data)

    def decrypt(self, sealed: Sealed) -> bytes:
        """Decrypt a message of the contact."""
        with self.device() as device:
            return device.decrypt_raw(self.contact, MessageKind(sealed.kind), sealed.data)

    def has_session(self) -> bool:
        """Whether there is a session with the contact."""
        with self.device() as device:
            return device.has_session(self.contact)

    def restart(self) -> None:
        """Nothing to do: nothing is in memory between two operations."""
