# SPDX-License-Identifier: Apache-2.0
"""`Device`: a device of a user of an app, without a network. What an app embeds.

Rules:
- Every method is one store transaction, or one that reads and one that writes where keys are
  generated in between. When a method raises, nothing has changed.
- Devices of one store may be used from several threads and processes at once.
"""

from e2ecross.address import Address
from e2ecross.client.context import (
    Clock,
    Context,
    system_clock,
)
from e2ecross.client.message import Message, message_from_payload
from e2ecross.client.opening import create_device, load_context
from e2ecross.client.policy import Policy
from e2ecross.client.prekey_upkeep import (
    confirm_publication,
    prepare_publication,
)
from e2ecross.client.receiving import (
    decode_ciphertext,
    decode_message,
    decrypt_envelope,
    decrypt_plaintext,
)
from e2ecross.client.sending import (
    checked_message_id,
    encrypt_content,
    encrypt_plaintext,
    keep_initiated_session,
    require_content,
    require_other_device,
    send_to_identity,
)
from e2ecross.client.session_store import has_session
from e2ecross.client.trust import (
    RemoteIdentity,
    accept_identity,
    find_identity,
    mark_verified,
    reject_identity,
    require_identity,
)
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, EntropySource
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES, decode_public_key
from e2ecross.errors import InvalidArgument, InvalidKey
from e2ecross.protocol.safety_number import SafetyNumber, make_safety_number
from e2ecross.protocol.x3dh import initiate_session, verify_bundle
from e2ecross.stores.base import Store
from e2ecross.wire.arguments import (
    require_bytes,
    require_type,
    require_whole_number,
)
from e2ecross.wire.bundle import PreKeyBundle, PublishedKeys
from e2ecross.wire.content import Content
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.limits import MAX_ONE_TIME_PREKEYS, MAX_PLAINTEXT_BYTES

__all__ = ["Device"]


class Device:
    """A device: its identity, its sessions, its prekeys, all in one store.

    Make one with `Device.create`, and later load it with `Device.open`.
    """

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        """Use `create` or `open`."""
        self._context = context

    @classmethod
    def create(
        cls,
        address: Address,
        store: Store,
        *,
        policy: Policy | None = None,
        clock: Clock = system_clock,
        entropy: EntropySource = SYSTEM_ENTROPY,
    ) -> "Device":
        """Make a new device with a new identity in an empty store.

        Args:
            address: the device's own address.
            store: where its state will be; one store holds one device.
            policy: how it behaves where the protocol leaves a choice.
            clock: returns milliseconds since 1970.
            entropy: where randomness comes from.

        Raises:
            DeviceExists: the store holds a device already.
            StoreError: the store cannot be written.
            InvalidArgument: an argument has the wrong type.
        """
        return cls(create_device(address, store, policy, clock, entropy))

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        policy: Policy | None = None,
        clock: Clock = system_clock,
        entropy: EntropySource = SYSTEM_ENTROPY,
    ) -> "Device":
        """Load the device of a store; the keywords are those of `create`.

        Raises:
            NoDevice: the store holds none.
            StoreError: the store cannot be read.
            InvalidArgument: an argument has the wrong type.
        """
        return cls(load_context(store, policy, clock, entropy))

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

    def start_session(self, bundle: PreKeyBundle) -> None:
        """Start a session with the device that a bundle is of; later messages use it.

        Raises:
            InvalidKey: a key of the bundle is malformed, not canonical or of low order.
            InvalidSignature: the signed prekey is not signed by the identity key.
            DecodeError: the one-time prekey has the id 0.
            UntrustedIdentity: the identity key is not the accepted one of that address.
            InvalidArgument: not a bundle, or one of this device.
            StoreError: the store cannot be read or written.
        """
        require_type("bundle", bundle, PreKeyBundle)
        context = self._context
        require_other_device(context, bundle.address)
        verified = verify_bundle(bundle)
        now_ms = context.clock()
        session = initiate_session(context.identity_key_pair, verified, context.entropy, now_ms)
        with context.store.transaction() as tx:
            keep_initiated_session(tx, bundle.address, session, now_ms)

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
        with context.store.transaction() as tx:
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
        with context.store.transaction() as tx:
            received = decrypt_envelope(context, tx, envelope, message, context.clock())
        return message_from_payload(received.payload, identity_changed=received.identity_changed)

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
        with context.store.transaction() as tx:
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
        with context.store.transaction() as tx:
            return decrypt_plaintext(context, tx, address, message, context.clock())[0]

    # --- Trust ------------------------------------------------------------------------------

    def remote_identity(self, address: Address) -> RemoteIdentity | None:
        """Return the identity keys known of an address and how far they are trusted, or None."""
        require_type("address", address, Address)
        with self._context.store.transaction() as tx:
            return find_identity(tx, address)

    def accept_identity(self, address: Address, identity_key: bytes) -> None:
        """Accept a changed identity key, the one that `UntrustedIdentity` has named.

        Sessions of another identity are not sent with again; they still read late messages.

        Args:
            address: whose key.
            identity_key: 33 bytes. Exactly the key that waits, if a message has brought one up;
                otherwise (a bundle was refused) the key that may be used from now on.

        Raises:
            InvalidArgument: not a key, or not the one that waits.
            NoSession: nothing is known of the address.
            StoreError: the store cannot be read or written.
        """
        require_type("address", address, Address)
        require_bytes("identity_key", identity_key, PUBLIC_KEY_BYTES)
        try:
            key = decode_public_key(identity_key)
        except InvalidKey as error:
            raise InvalidArgument(f"identity_key is not acceptable: {error}") from error
        context = self._context
        with context.store.transaction() as tx:
            accept_identity(tx, address, key, context.clock())
            send_to_identity(tx, address, key)

    def reject_identity(self, address: Address, identity_key: bytes) -> None:
        """Stay with the accepted identity key, and forget another one that was seen.

        For users who know that their contact has not changed: whoever runs the back end can
        bring up a key of their own, and nothing is sent until the user has decided.

        Args:
            address: whose key.
            identity_key: exactly the key that waits to be accepted, 33 bytes.

        Raises:
            InvalidArgument: it is not the key that waits.
            NoSession: nothing is known of the address.
            StoreError: the store cannot be read or written.
        """
        require_type("address", address, Address)
        require_bytes("identity_key", identity_key, PUBLIC_KEY_BYTES)
        with self._context.store.transaction() as tx:
            send_to_identity(tx, address, reject_identity(tx, address, identity_key))

    def mark_verified(self, address: Address, identity_key: bytes) -> None:
        """Note that the user has compared the safety number with this address.

        Args:
            address: whose safety number.
            identity_key: the accepted key that was compared, 33 bytes.

        Raises:
            InvalidArgument: it is not the accepted key.
            NoSession: nothing is known of the address.
            StoreError: the store cannot be read or written.
        """
        require_type("address", address, Address)
        require_bytes("identity_key", identity_key, PUBLIC_KEY_BYTES)
        with self._context.store.transaction() as tx:
            mark_verified(tx, address, identity_key)

    def safety_number(self, address: Address) -> SafetyNumber:
        """Compute the safety number of this device's user and another.

        While a changed identity key waits to be accepted, the number is that of the new key: it
        is what the two users have to compare.

        Raises:
            NoSession: the address's identity key is not known yet.
            InvalidArgument: not an address.
            StoreError: the store cannot be read.
        """
        require_type("address", address, Address)
        context = self._context
        with context.store.transaction() as tx:
            identity = require_identity(tx, address)
        return make_safety_number(
            context.address.user_id,
            context.identity_key_pair.public,
            address.user_id,
            identity.pending_key or identity.identity_key,
        )

    # --- For Client -------------------------------------------------------------------------

    @property
    def context(self) -> Context:
        """What the operations of this device work with; for `Client`."""
        return self._context
