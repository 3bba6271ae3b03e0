# SPDX-License-Identifier: Apache-2.0
"""`Device`: a device of a user of an app, without a network. What an app embeds.

Rules:
- Every method is one store transaction, or one that reads and one that writes where keys are
  generated in between. When a method raises, nothing has changed; the exception is
  `WitnessFailed`: what was committed stays, and its result is not released.
- Devices of one store may be used from several threads and processes at once.
"""

from e2ecross.address import Address
from e2ecross.arguments import forgets_secrets, require_bytes, require_type, require_whole_number
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, EntropySource
from e2ecross.crypto.passphrase import PassphraseCost
from e2ecross.device.device_batch import DeviceBatch
from e2ecross.device.identity_backup import export_identity
from e2ecross.device.opening import Surroundings, create_device, import_device, load_context
from e2ecross.device.prekey_upkeep import confirm_publication, prepare_publication
from e2ecross.device.receiving import (
    decode_ciphertext,
    decode_message,
    decrypt_envelope,
    decrypt_plaintext,
    message_from,
)
from e2ecross.device.sending import (
    checked_message_id,
    encrypt_content,
    encrypt_plaintext,
    keep_initiated_session,
    require_content,
    require_other_device,
)
from e2ecross.errors import InvalidArgument
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.state.context import Clock, Context, system_clock
from e2ecross.state.epoch import witnessed_receipt, witnessed_transaction
from e2ecross.state.message import Message
from e2ecross.state.policy import Policy
from e2ecross.state.session_store import SessionInfo, has_session, read_session_info
from e2ecross.state.witness import Witness
from e2ecross.stores.base import Store
from e2ecross.wire.bundle import PreKeyBundle, PublishedKeys
from e2ecross.wire.content import Content
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.limits import MAX_ONE_TIME_PREKEYS, MAX_PLAINTEXT_BYTES

__all__ = ["Device"]


class Device(DeviceBatch):
    """A device: its identity, its sessions, its prekeys, all in one store.

    Make one with `Device.create`, and later load it with `Device.open`. With a witness, every
    method that sends, publishes or starts a session may also raise `WitnessFailed`.
    """

    __slots__ = ()

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
            witness: told how far the store has come, so that an older copy of it is noticed; give
                the same one to `open`.

        Raises:
            DeviceExists: the store holds a device already.
            StoreError: the store cannot be written.
            WitnessFailed: the witness cannot be read.
            InvalidArgument: an argument has the wrong type.
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
    ) -> "Device":
        """Load the device of a store; the other keywords are those of `create`.

        Args:
            store: where its state is.
            policy: see `create`.
            clock: see `create`.
            entropy: see `create`.
            witness: see `create`. Without one, an older copy of the store goes unnoticed here;
                `Client` also asks the back end.
            restored: say True once when the store was put back to an older state, or is a copy
                that is used instead of the original. Then nothing that may have been used since
                is used again: sessions read and never send again, so that new ones are started
                from bundles; all prekeys are replaced; what is known of contacts is marked stale.
                Identity, inbox and the reading of late messages stay.

        Raises:
            NoDevice: the store holds none.
            RestoredStore: the witness has seen the store further ahead. Nothing was changed.
            WitnessFailed: the witness cannot be read, or cannot be told of the restore.
            PrekeysExhausted: no prekey ids are left to restore with; nothing was changed.
            StoreError: the store cannot be read or written.
            InvalidArgument: an argument has the wrong type.
        """
        given = Surroundings(policy, clock, entropy, witness)
        return cls(load_context(store, given, restored=restored))

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
            policy: see `create`.
            clock: see `create`.
            entropy: see `create`.
            witness: see `create`.

        Raises:
            WrongBackupKey: another passphrase, or the backup was changed.
            DecodeError: it is no backup, or asks for more work than any backup may.
            UnsupportedVersion: a later release made it.
            DeviceExists: the store holds a device already.
            StoreError: the store cannot be written.
            WitnessFailed: the witness cannot be read.
            InvalidArgument: an argument has the wrong type.
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
            InvalidArgument: the passphrase or its cost is not acceptable.
            LocalError: there is not enough memory for the passphrase.
            StoreError: the store cannot be read.
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

    # --- Publishing -------------------------------------------------------------------------

    @forgets_secrets
    def publish(self, one_time: int = 100) -> PublishedKeys:
        """Return keys to upload to the back end: the signed prekey and new one-time prekeys.

        The same unconfirmed batch comes back until `confirm_published`. A signed prekey that has
        reached its age (`Policy.signed_prekey_max_age_ms`) is replaced with a new batch.

        Args:
            one_time: how many one-time prekeys a new batch gets, 0 to 1000.

        Raises:
            InvalidArgument: `one_time` is out of range.
            PrekeysExhausted: the device has used its 2^24 prekey ids.
            StoreError: the store cannot be read or written.
        """
        require_whole_number("one_time", one_time, 0, MAX_ONE_TIME_PREKEYS)
        return prepare_publication(self._context, one_time)

    def confirm_published(self, published: PublishedKeys) -> None:
        """Note that the back end has these keys; the next `publish` makes a new batch.

        Raises:
            InvalidArgument: it is not the batch that waits to be confirmed.
            StoreError: the store cannot be read or written.
        """
        require_type("published", published, PublishedKeys)
        confirm_publication(self._context, published)

    # --- Sessions ---------------------------------------------------------------------------

    def has_session(self, address: Address) -> bool:
        """Tell whether `encrypt` has a session to use for this address."""
        require_type("address", address, Address)
        with self._context.store.transaction() as tx:
            return has_session(tx, address)

    def session_info(self, address: Address) -> SessionInfo | None:
        """Return how it stands with the sessions with an address, or None if there are none."""
        require_type("address", address, Address)
        with self._context.store.transaction() as tx:
            return read_session_info(tx, address)

    @forgets_secrets
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
            InvalidArgument: not a bundle, or one of this device.
            StoreError: the store cannot be read or written.
        """
        require_type("bundle", bundle, PreKeyBundle)
        context = self._context
        require_other_device(context, bundle.address)
        verified = verify_bundle(bundle)
        now_ms = context.clock()
        session = initiate_session(
            context.identity_key_pair,
            verified,
            context.entropy,
            now_ms,
            require_spqr=context.policy.require_spqr,
        )
        with witnessed_transaction(context) as tx:
            keep_initiated_session(context, tx, bundle.address, session, now_ms)

    # --- Messages ---------------------------------------------------------------------------

    def encrypt(
        self, address: Address, content: Content, *, message_id: bytes | None = None
    ) -> Envelope:
        """Encrypt content for a device. The session is saved before this returns.

        Args:
            address: the recipient.
            content: `Text`, `Bytes`, or `UnsupportedContent` for a kind that is not known here.
            message_id: 16 bytes; by default random.

        Raises:
            NoSession: there is none with the address; start one.
            UntrustedIdentity: the address's identity key has changed and was not accepted.
            SessionExhausted: the session has sent 2^32-1 messages in a row; start a new one.
            InvalidArgument: an argument has the wrong type or length.
            StoreError: the store cannot be read or written.
        """
        context = self._context
        require_content(content)
        message_id = checked_message_id(context, message_id)
        require_type("address", address, Address)
        require_other_device(context, address)
        with witnessed_transaction(context) as tx:
            return encrypt_content(context, tx, address, content, message_id, context.clock())

    def decrypt(self, envelope: Envelope | bytes) -> Message:
        """Authenticate and decrypt an envelope. What it changes is saved before this returns.

        Args:
            envelope: the envelope, or its encoding.

        Raises:
            RemoteError: the message is not acceptable; which class tells why. Nothing changed.
            InvalidArgument: `envelope` has the wrong type.
            StoreError: the store cannot be read or written.
        """
        if isinstance(envelope, bytes):
            envelope = Envelope.decode(envelope)
        require_type("envelope", envelope, Envelope)
        context = self._context
        message = decode_ciphertext(context, envelope)
        with witnessed_receipt(context) as tx:
            received = decrypt_envelope(context, tx, envelope, message, context.clock())
        return message_from(received)

    def encrypt_raw(self, address: Address, plaintext: bytes) -> tuple[MessageKind, bytes]:
        """Encrypt bytes for a Signal peer that does not speak our envelope.

        Args:
            address: under which the peer's sessions are kept.
            plaintext: at most 98,304 bytes.

        Returns:
            The kind of message, and its bytes.

        Raises:
            NoSession: there is none with the address; start one.
            UntrustedIdentity: the address's identity key has changed and was not accepted.
            SessionExhausted: the session has sent 2^32-1 messages in a row; start a new one.
            InvalidArgument: an argument has the wrong type or length.
            StoreError: the store cannot be read or written.
        """
        context = self._context
        require_type("address", address, Address)
        require_other_device(context, address)
        require_bytes("plaintext", plaintext)
        if len(plaintext) > MAX_PLAINTEXT_BYTES:
            raise InvalidArgument(f"plaintext has more than {MAX_PLAINTEXT_BYTES} bytes")
        with witnessed_transaction(context) as tx:
            return encrypt_plaintext(context, tx, address, plaintext)

    def decrypt_raw(self, address: Address, kind: MessageKind, data: bytes) -> bytes:
        """Authenticate and decrypt a message of a Signal peer.

        The wrapper of a prekey message is not authenticated, and other senders encode it in other
        ways: here, unlike in `decrypt`, a change to its registration id goes unnoticed. Who sent
        the message is what `address` says. A changed identity key shows in `remote_identity`.

        Args:
            address: under which the peer's sessions are kept.
            kind: which kind of message it is.
            data: the message's bytes.

        Raises:
            RemoteError: the message is not acceptable; which class tells why. Nothing changed.
            InvalidArgument: an argument has the wrong type.
            StoreError: the store cannot be read or written.
        """
        context = self._context
        require_type("address", address, Address)
        require_other_device(context, address)
        require_bytes("data", data)
        try:
            kind = MessageKind(kind)
        except ValueError:
            raise InvalidArgument("kind must be MessageKind.SIGNAL or MessageKind.PREKEY") from None
        message = decode_message(kind, data)
        with witnessed_receipt(context) as tx:
            return decrypt_plaintext(context, tx, address, message, context.clock())[0]

    # --- For Client -------------------------------------------------------------------------

    @property
    def context(self) -> Context:
        """What the operations of this device work with; for `Client`."""
        return self._context
