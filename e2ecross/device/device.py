# SPDX-License-Identifier: Apache-2.0
"""`Device`: a device of a user of an app, without a network. What an app embeds.

Rules:
- Every method is one store transaction, or one that reads and one that writes where keys are
  generated in between. When a method raises, nothing has changed; the exception is
  `WitnessFailed`: what was committed stays, and its result is not released.
- Every method is one call of a module of this floor, which does the work and checks the arguments.
- Devices of one store may be used from several threads and processes at once.
"""

from collections.abc import Iterable

from e2ecross.address import Address, Recipient
from e2ecross.arguments import forgets_secrets
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, EntropySource
from e2ecross.crypto.passphrase import PassphraseCost
from e2ecross.device import batch, messages, trusting
from e2ecross.device.batch import Progress
from e2ecross.device.group_calls import RawGroupCalls
from e2ecross.device.identity_backup import export_identity
from e2ecross.device.opening import Surroundings, create_device, import_device, load_context
from e2ecross.device.upkeep_calls import UpkeepCalls
from e2ecross.errors import LocalError, RecordCorrupted, RemoteError
from e2ecross.protocol.safety_number import SafetyNumber
from e2ecross.state.context import Clock, Context, system_clock
from e2ecross.state.message import ControlMessage, DeviceMessage
from e2ecross.state.policy import Policy
from e2ecross.state.session_store import SessionInfo
from e2ecross.state.trust import RemoteIdentity
from e2ecross.state.witness import Witness
from e2ecross.stores.base import Store
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.content import AnyContent
from e2ecross.wire.envelope import Envelope, MessageKind

__all__ = ["Device", "context_of"]


class Device(RawGroupCalls, UpkeepCalls):
    """A device: its identity, its sessions, its prekeys, all in one store.

    Make one with `Device.create`, and later load it with `Device.open`. Every method may raise
    `InvalidArgument` (an argument has the wrong type, length or value) and `StoreError` (the store
    cannot be read or written). With a witness, every method that sends, publishes or starts a
    session may also raise `WitnessFailed`.
    """

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        """Use `Device.create` or `Device.open`."""
        self._context = context

    @classmethod
    @forgets_secrets
    def create(
        cls,
        address: Address,
        store: Store,
        *,
        policy: Policy | None = None,
        clock: Clock = system_clock,
        entropy: EntropySource = SYSTEM_ENTROPY,
        witness: Witness | None = None,
    ) -> "Device":
        """Make a new device with a new identity in an empty store.

        Args:
            address: the device's own address.
            store: where its state will be; one store holds one device.
            policy: how it behaves where the protocol leaves a choice.
            clock: returns milliseconds since 1970.
            entropy: where randomness comes from.
            witness: told how far the store has come, to notice an older copy; also for `open`.

        Raises:
            DeviceExists: the store holds a device already.
            WitnessFailed: the witness cannot be read.
        """
        given = Surroundings(policy, clock, entropy, witness)
        return cls(create_device(address, store, given))

    @classmethod
    @forgets_secrets
    def open(
        cls,
        store: Store,
        *,
        policy: Policy | None = None,
        clock: Clock = system_clock,
        entropy: EntropySource = SYSTEM_ENTROPY,
        witness: Witness | None = None,
        restored: bool = False,
        progress: Progress | None = None,
    ) -> "Device":
        """Load the device of a store.

        Args:
            store: where its state is.
            policy: see `create`.
            clock: see `create`.
            entropy: see `create`.
            witness: see `create`. Without one only a `Client` notices an older copy of the store.
            restored: say True once when the store was put back to an older state, or is a copy that
                is used instead of the original. Then nothing that may have been used since is used
                again: sessions only read, new ones are started from bundles; all prekeys are
                replaced; own sender keys go; what is known of contacts is marked stale. Identity,
                inbox, and the reading of late messages stay. Of a store with stripes see also
                `restore_stripes`; other `Device` objects of it raise `RestoredStore` from then on.
            progress: of that, called with how many contacts are done and how many there are; with
                stripes those of other stripes are left to `restore_stripes`.

        Raises:
            NoDevice: the store holds none.
            RestoredStore: the witness has seen the store further ahead. Nothing was changed.
            WitnessFailed: the witness cannot be read, or cannot be told of the restore.
            PrekeysExhausted: no prekey ids are left to restore with; nothing was changed.
        """
        given = Surroundings(policy, clock, entropy, witness)
        return cls(load_context(store, given, restored=restored, progress=progress))

    @classmethod
    @forgets_secrets
    def import_identity(
        cls,
        backup: bytes,
        passphrase: str | bytes,
        store: Store,
        *,
        policy: Policy | None = None,
        clock: Clock = system_clock,
        entropy: EntropySource = SYSTEM_ENTROPY,
        witness: Witness | None = None,
    ) -> "Device":
        """Make a device in an empty store that has the identity of a backup.

        It has no sessions and no contacts, and new prekeys: call `Client.register`, which keeps
        the account, or `publish`.

        Args:
            backup: what `export_identity` returned.
            passphrase: the one it was given, secret.
            store: where its state will be; empty.
            policy: see `create`; likewise the others.
            clock: see `policy`.
            entropy: see `policy`.
            witness: see `policy`.

        Raises:
            WrongBackupKey: another passphrase, or the backup was changed.
            DecodeError: it is no backup, or asks for more work than any backup may.
            UnsupportedVersion: a later release made it.
            DeviceExists: the store holds a device already.
            WitnessFailed: the witness cannot be read.
            LocalError: there is not enough memory for the passphrase.
        """
        given = Surroundings(policy, clock, entropy, witness)
        return cls(import_device(backup, passphrase, store, given))

    @forgets_secrets
    def export_identity(
        self,
        passphrase: str | bytes,
        *,
        cost: PassphraseCost | str = PassphraseCost.MODERATE,
    ) -> bytes:
        """Return a backup of who this device is, and of no state that must not come back.

        It holds the address, the identity key and the account's token at the back end, sealed
        with the passphrase. Whoever has it and guesses the passphrase can be this device.

        Args:
            passphrase: text or bytes, secret.
            cost: how hard it is to guess; see `e2ecross.stores.PassphraseCost`.

        Raises:
            LocalError: too little memory for the passphrase; NotPrimary: the device was linked.
        """
        return export_identity(self._context, passphrase, cost)

    def __repr__(self) -> str:
        return f"<Device {self.address}>"

    @property
    def address(self) -> Address:
        """The device's own address."""
        return self._context.address

    @property
    def identity_key(self) -> bytes:
        """The public identity key, 33 bytes."""
        return self._context.identity_key_pair.public

    @property
    def registration_id(self) -> int:
        """1 to 16380; tells installations at one address apart."""
        return self._context.registration_id

    # --- Sessions ---------------------------------------------------------------------------

    def has_session(self, address: Address) -> bool:
        """Tell whether `encrypt` has a session to use for this address."""
        return messages.has_session(self._context, address)

    def session_info(self, address: Address) -> SessionInfo | None:
        """Return how it stands with the sessions with an address, or None if there are none."""
        return messages.read_session_info(self._context, address)

    def start_session(self, bundle: PreKeyBundle) -> None:
        """Start a session with the device that a bundle is of; later messages use it.

        A bundle with a Kyber prekey gives a session of version 4 (PQXDH and the post-quantum
        ratchet), one without gives version 3 (X3DH).

        Raises:
            InvalidKey: a key of the bundle is malformed, not canonical or of low order.
            InvalidSignature: a signed or a Kyber prekey is not signed by the identity key.
            DecodeError: the one-time prekey has the id 0.
            VersionDowngrade: version 3, and the device has offered version 4 before; see
                `Policy.accept_version_downgrade`.
            UntrustedIdentity: the identity key is not the accepted one of that address.
        """
        messages.start_session(self._context, bundle)

    # --- Messages ---------------------------------------------------------------------------

    def encrypt(
        self, address: Address, content: AnyContent, *, message_id: bytes | None = None
    ) -> Envelope:
        """Encrypt content for a device. The session is saved before this returns.

        Args:
            address: the recipient.
            content: what goes without a frame, as `Text` and `Bytes` do, or `Framed`.
            message_id: 16 bytes; by default random.

        Raises:
            NoSession: there is none with the address; start one.
            UntrustedIdentity: the address's identity key has changed and was not accepted.
            SessionExhausted: the session has sent 2^32-1 messages in a row; start a new one.
        """
        return messages.encrypt(self._context, address, content, message_id)

    def decrypt(self, envelope: Envelope | bytes) -> DeviceMessage | ControlMessage:
        """Authenticate and decrypt an envelope (or its encoding), and save what it changes.

        What goes in a frame is `Framed`; what the sender's `Client` asks is a `ControlMessage`.

        Raises:
            RemoteError: the message is not acceptable; which class tells why. Nothing changed.
        """
        return messages.decrypt(self._context, envelope)

    def encrypt_many(
        self, addresses: Iterable[Address], content: AnyContent, *, progress: Progress | None = None
    ) -> list[Envelope | LocalError | RecordCorrupted]:
        """Encrypt the same content for many devices, each under a message id of its own.

        One transaction, one commit; about a second for ten thousand addresses. In a store with
        stripes that is one for each stripe: where the store fails in a later one, what was
        committed before stands, and its results are lost.

        Args:
            addresses: of the recipients; one that is named twice gets two messages.
            content: what the user sends.
            progress: called with how many messages are done and how many there are, after each
                recipient. When it raises, nothing is saved. It must not use the device.

        Returns:
            For each, in order, its envelope, or the error that `encrypt` would have raised
            (`RecordCorrupted` where a contact's records are damaged); the others are not affected.
        """
        return batch.encrypt_many(self._context, addresses, content, progress)

    def decrypt_many(
        self, envelopes: Iterable[Envelope | bytes], *, progress: Progress | None = None
    ) -> list[DeviceMessage | ControlMessage | RemoteError | RecordCorrupted]:
        """Authenticate and decrypt many envelopes; what they change is saved before this returns.

        One transaction; in a store with stripes one for each, as in `encrypt_many`.

        Args:
            envelopes: or their encodings, of one sender or many; each sender's in their order.
            progress: see `encrypt_many`; called after each sender.

        Returns:
            For each, in order, its message, or the error that `decrypt` would have raised (with
            `RecordCorrupted` nothing of that sender was read); the others are not affected.
        """
        return batch.decrypt_many(self._context, envelopes, progress)

    def encrypt_raw(self, address: Address, plaintext: bytes) -> tuple[MessageKind, bytes]:
        """Encrypt bytes for a Signal peer that does not speak our envelope.

        Args:
            address: under which the peer's sessions are kept.
            plaintext: at most 98,304 bytes. Raises as `encrypt`.
        """
        return messages.encrypt_raw(self._context, address, plaintext)

    def decrypt_raw(self, address: Address, kind: MessageKind, data: bytes) -> bytes:
        """Authenticate and decrypt a message of a Signal peer.

        The wrapper of a prekey message is not authenticated, and other senders encode it in other
        ways: here, unlike in `decrypt`, a change to its registration id goes unnoticed. Who sent
        the message is what `address` says. A changed identity key shows in `remote_identity`.

        Args:
            address: under which the peer's sessions are kept.
            kind: SIGNAL or PREKEY, else `InvalidArgument`; SENDER_KEY is for `decrypt_group_raw`.
            data: the message's bytes.

        Raises:
            RemoteError: the message is not acceptable; which class tells why. Nothing changed.
        """
        return messages.decrypt_raw(self._context, address, kind, data)

    # --- The identities of others -----------------------------------------------------------

    def remote_identity(self, address: Recipient) -> RemoteIdentity | None:
        """Return the keys known of a user, such as "instagram:budi", or of an address; or None."""
        return trusting.read_identity(self._context, address)

    def accept_identity(self, address: Recipient, identity_key: bytes) -> None:
        """Accept a changed identity key, the one that `UntrustedIdentity` has named.

        Sessions of another identity only read from now on. What waited goes with the next call of
        any `Client`.

        Args:
            address: whose key: a user, which stands for device 1, or any address of the account.
            identity_key: 33 bytes. Exactly the key that waits, if a message has brought one up;
                otherwise (a bundle was refused) the key that may be used from now on.

        Raises:
            InvalidArgument: not a key, or not the one that waits.
            NoSession: nothing is known of the address.
        """
        trusting.accept_identity(self._context, address, identity_key)

    def reject_identity(self, address: Recipient, identity_key: bytes) -> None:
        """Stay with the accepted identity key, and forget another one that was seen.

        For users who know that their contact has not changed. What waited for the decision is given
        up; the app is told (`Notice`).

        Args:
            address: whose key; see `accept_identity`.
            identity_key: exactly the key that waits to be accepted, 33 bytes; no other will do.

        Raises:
            NoSession: nothing is known of the address.
        """
        trusting.reject_identity(self._context, address, identity_key)

    def mark_verified(self, address: Recipient, identity_key: bytes) -> None:
        """Note that the user has compared the safety number with somebody.

        Args:
            address: with whom; see `accept_identity`.
            identity_key: the accepted key that was compared, 33 bytes.

        Raises:
            NoSession: nothing is known of the address.
        """
        trusting.mark_verified(self._context, address, identity_key)

    def safety_number(self, address: Recipient) -> SafetyNumber:
        """Compute the safety number of this device's user and another.

        While a changed identity key waits to be accepted, the number is that of the new key: it
        is what the two users have to compare.

        Raises:
            NoSession: the other's identity key is not known yet.
        """
        return trusting.make_number(self._context, address)


def context_of(device: Device) -> Context:
    """Return what the operations of a device work with, for the floor above; it holds secrets."""
    return device._context
