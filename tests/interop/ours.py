# SPDX-License-Identifier: Apache-2.0
"""Our end of a conversation, through the public API; `sessions` alone looks behind it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from e2ecross import Address, Device, MessageKind, Policy, PreKeyBundle
from e2ecross.errors import DuplicateMessage, RemoteError
from e2ecross.protocol.session_record import SessionRecord
from e2ecross.state.session_store import load_sessions
from e2ecross.stores import SQLiteStore

from .peers import Bundle, Sealed

AS_DEPLOYED = Policy(max_forward_jump=25_000)
"""The default policy, but as many skipped messages as the deployed peers of version 4 allow."""


class Ours:
    """A device of ours with one contact; every operation opens the store anew and closes it."""

    refusal: type[Exception] = RemoteError
    duplicate: type[Exception] = DuplicateMessage

    def __init__(self, path: Path, address: Address, contact: Address, policy: Policy) -> None:
        """Create the device in a store at `path`."""
        self.address = address
        self.contact = contact
        self.policy = policy
        self._path = path
        store = SQLiteStore(path)
        Device.create(address, store)
        store.close()

    @contextmanager
    def device(self) -> Iterator[Device]:
        """The device, opened from its store for the length of the block."""
        store = SQLiteStore(self._path)
        try:
            yield Device.open(store, policy=self.policy)
        finally:
            store.close()

    def bundle(self, *, one_time: bool, one_time_kyber: bool | None = None) -> Bundle:
        """The published keys, with one-time prekeys that were not handed out before, or none.

        Args:
            one_time: with an X25519 one-time prekey.
            one_time_kyber: whether the Kyber prekey serves once or is the one of last resort; as
                `one_time` if it is not given.

        """
        with self.device() as device:
            published = device.publish(one_time=1)
            device.confirm_published(published)
        once = published.one_time_prekeys[0] if one_time else None
        kyber_once = one_time if one_time_kyber is None else one_time_kyber
        assert published.last_resort_kyber_prekey is not None
        kyber = published.kyber_prekeys[0] if kyber_once else published.last_resort_kyber_prekey
        return Bundle(
            registration_id=published.registration_id,
            identity_key=published.identity_key,
            signed_prekey_id=published.signed_prekey.id,
            signed_prekey=published.signed_prekey.public_key,
            signed_prekey_signature=published.signed_prekey.signature,
            one_time_prekey_id=once.id if once else None,
            one_time_prekey=once.public_key if once else None,
            kyber_prekey_id=kyber.id,
            kyber_prekey=kyber.public_key,
            kyber_prekey_signature=kyber.signature,
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
            kyber_prekey_id=bundle.kyber_prekey_id,
            kyber_prekey=bundle.kyber_prekey,
            kyber_prekey_signature=bundle.kyber_prekey_signature,
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

    def sessions(self) -> SessionRecord:
        """What is stored of the sessions with the contact."""
        with self.device() as device, device._context.store.transaction() as tx:
            return load_sessions(tx, self.contact)

    def epochs(self) -> int:
        """How many key exchanges of the post-quantum ratchet are complete in the session."""
        session = self.sessions().current
        spqr = None if session is None else session.ratchet.spqr
        return 0 if spqr is None else spqr.machine.epoch - 1

    def restart(self) -> None:
        """Nothing to do: nothing is in memory between two operations."""


class MakeOurs(Protocol):
    """What the fixture `make_ours` gives."""

    def __call__(
        self, policy: Policy | None = None, address: Address = ..., contact: Address = ...
    ) -> Ours:
        """Make a new device of ours."""
