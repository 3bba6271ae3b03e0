# SPDX-License-Identifier: Apache-2.0
"""`Client`: a device with a back end. Fetches bundles, sends, receives, acknowledges.

Rules:
- Nothing is asked of the back end inside a store transaction.
- Sending: encrypt and keep in the outbox in one commit, deposit, forget.
- Receiving: decrypt and keep in the inbox in one commit, acknowledge, hand over, and forget when
  the caller confirms.
- A message that cannot be read is final, and stops nothing else. What the store or the way to the
  back end did wrong is not: the message stays at the back end.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from e2ecross.address import Address, UserId
from e2ecross.client.backend import Backend
from e2ecross.client.context import require_device, save_device
from e2ecross.client.device import Device
from e2ecross.client.inbox import (
    InboxItem,
    confirm_in_inbox,
    list_inbox,
    list_known_numbers,
    put_failure,
    put_message,
    receipt_of,
    remove_confirmed_numbers,
)
from e2ecross.client.message import message_from_payload
from e2ecross.client.outbox import (
    find_in_outbox,
    list_outbox,
    put_into_outbox,
    remove_from_outbox,
)
from e2ecross.client.prekey_store import delete_expired_signed_prekeys
from e2ecross.client.prekey_upkeep import needs_rotation
from e2ecross.client.receiving import decode_ciphertext, decrypt_envelope
from e2ecross.client.sending import (
    checked_message_id,
    encrypt_content,
    require_content,
    require_other_device,
)
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    E2ECrossError,
    EnvelopeMismatch,
    InvalidArgument,
    MailboxFull,
    NotRegistered,
    RemoteError,
    StoreError,
    UnknownRecipient,
)
from e2ecross.protocol.prekeys import one_time_prekeys_to_add
from e2ecross.wire.arguments import require_methods, require_type, require_whole_number
from e2ecross.wire.content import Content
from e2ecross.wire.envelope import Envelope

__all__ = ["Client", "Delivery", "Sent"]

_TOKEN_BYTES = 32
_MAX_BATCH = 1000
_BACKEND_METHODS = [name for name in vars(Backend) if not name.startswith("_")]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of a sent message.

    Attributes:
        address: the device it is for.
    """

    address: Address


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the back end has accepted.

    Attributes:
        message_id: 16 bytes.
        deliveries: the copies, one for each device.
    """

    message_id: bytes
    deliveries: tuple[Delivery, ...]


class Client:
    """A `Device` and the `Backend` that it is registered at."""

    __slots__ = ("_acknowledged", "_backend", "_device", "_own_receipts", "_seen_receipts")

    def __init__(self, device: Device, backend: Backend) -> None:
        """Put a device and a back end together.

        Args:
            device: the device.
            backend: any implementation of the `Backend` protocol, such as `Relay`.

        Raises:
            InvalidArgument: `device` is no `Device`, or `backend` lacks a method.
        """
        require_type("device", device, Device)
        require_methods("backend", backend, *_BACKEND_METHODS)
        self._device = device
        self._backend = backend
        self._acknowledged: set[int] = set()  # back-end numbers in the inbox that it has heard of
        self._own_receipts: set[int] = set()  # put into the inbox by this object, not confirmed
        self._seen_receipts: set[int] = set()  # handed over by this object, not confirmed

    def __repr__(self) -> str:
        return f"<Client of {self._device.address}>"

    @property
    def device(self) -> Device:
        """The device."""
        return self._device

    def register(self) -> None:
        """Claim the device's address at the back end and publish its keys; may be repeated.

        Raises:
            BackendRefused: the address is taken, or may not be claimed.
            BackendError: the back end cannot be reached.
            StoreError: the store cannot be read or written.
        """
        context = self._device.context
        token = context.entropy.bytes(_TOKEN_BYTES)
        with context.store.transaction() as tx:
            record = require_device(tx)
            if record.backend_token:
                token = record.backend_token
            else:  # committed before it is used, so that a crash cannot lock us out
                save_device(tx, replace(record, backend_token=token))
        self._backend.register(context.address, token)
        if not record.registered:
            self._publish(token, context.policy.one_time_prekeys_target)
            with context.store.transaction() as tx:
                save_device(tx, replace(require_device(tx), registered=True))
        self.maintain()

    def maintain(self) -> None:
        """Refill one-time prekeys, replace an old signed prekey, send what waits in the outbox.

        Raises:
            NotRegistered: call `register` first.
            BackendError: the back end cannot be reached.
            StoreError: the store cannot be read or written.
        """
        token = self._token()
        self._maintain_prekeys(token)
        self._flush(token)

    def send(
        self,
        recipient: Address | UserId | str,
        content: Content,
        *,
        message_id: bytes | None = None,
    ) -> Sent:
        """Encrypt content for a user and deposit it; starts a session where there is none.

        Args:
            recipient: an address, a user, or its text, such as "instagram:budi".
            content: `Text` or `Bytes`.
            message_id: 16 bytes; by default random. With the id of a message whose sending has
                failed, the same message is tried again and not encrypted anew.

        Raises:
            UnknownRecipient: the recipient has not registered.
            UntrustedIdentity: the recipient's identity key has changed and was not accepted.
            InvalidKey: the back end handed out a bad bundle; likewise InvalidSignature and
                EnvelopeMismatch (a bundle of somebody else). Nothing was encrypted to it.
            MailboxFull: too many messages wait for the recipient; this one was not sent.
            BackendError: the back end cannot be reached. The message stays in the outbox and is
                sent with the next call that reaches the back end.
            NotRegistered: call `register` first.
            InvalidArgument: an argument has the wrong type or length.
            StoreError: the store cannot be read or written.
        """
        context = self._device.context
        address = _recipient_address(recipient)
        require_other_device(context, address, "recipient")
        require_content(content)
        message_id = checked_message_id(context, message_id)
        token = self._token()
        with context.store.transaction() as tx:
            row = find_in_outbox(tx, address, message_id)
        if row is None:
            self._ensure_session(token, address)
            with context.store.transaction() as tx:
                envelope = encrypt_content(
                    context, tx, address, content, message_id, context.clock()
                )
                row = put_into_outbox(tx, envelope)
        self._flush(token, row)
        return Sent(message_id, (Delivery(address),))

    def receive(self, limit: int = 100) -> list[InboxItem]:
        """Return what has arrived, in order: messages, and failures in their places.

        An item that is not confirmed comes again from the next `Client` of this store, flagged
        as `redelivered`.

        Args:
            limit: how many items at most, 1 to 1000.

        Raises:
            NotRegistered: call `register` first.
            BackendError: the back end cannot be reached, and nothing is there to return.
            StoreError: the store cannot be read or written, and nothing is there to return.
            PrekeysExhausted: the device has used its prekey ids, and nothing is there to return.
            InvalidArgument: `limit` is out of range.
        """
        require_whole_number("limit", limit, 1, _MAX_BATCH)
        token = self._token()
        errors: list[E2ECrossError] = []
        waiting = len(self._unseen(limit))
        if waiting < limit:
            try:
                self._fetch(token, limit - waiting, errors)
                self.maintain()
            except E2ECrossError as error:  # whatever it is: what has arrived is handed over
                errors.append(error)
        items = self._unseen(limit)
        if errors and not items:
            raise errors[0]
        self._seen_receipts.update(receipt_of(item) for item in items)
        return items

    def confirm(self, items: Iterable[InboxItem]) -> None:
        """Close items that `receive` returned: the app has stored or shown them.

        Raises:
            InvalidArgument: an item that `receive` did not return.
            StoreError: the store cannot be written.
        """
        require_type("items", items, Iterable)
        receipts = [receipt_of(item) for item in items]
        with self._device.context.store.transaction() as tx:
            for receipt in receipts:
                confirm_in_inbox(tx, receipt, self._acknowledged)
        self._own_receipts.difference_update(receipts)
        self._seen_receipts.difference_update(receipts)

    # --- The way to the back end ------------------------------------------------------------

    def _token(self) -> bytes:
        with self._device.context.store.transaction() as tx:
            record = require_device(tx)
        if not record.backend_token:
            raise NotRegistered("this device is not registered at the back end: call register")
        return record.backend_token

    def _publish(self, token: bytes, one_time: int) -> None:
        published = self._device.publish(one_time)
        self._backend.publish(token, published)
        with suppress(InvalidArgument):  # another thread has confirmed it, and made the next one
            self._device.confirm_published(published)

    def _maintain_prekeys(self, token: bytes) -> None:
        context = self._device.context
        left = max(self._backend.one_time_prekey_count(context.address, token), 0)
        add = one_time_prekeys_to_add(
            left, context.policy.one_time_prekeys_low, context.policy.one_time_prekeys_target
        )
        with context.store.transaction() as tx:
            record = require_device(tx)
            rotate = needs_rotation(context, tx, record)
            if not record.unconfirmed_publication:  # else the old one may still be handed out
                kept_ms = context.policy.signed_prekey_kept_ms
                delete_expired_signed_prekeys(tx, context.clock(), kept_ms)
        if add or rotate or record.unconfirmed_publication:
            self._publish(token, add)

    def _ensure_session(self, token: bytes, address: Address) -> None:
        if self._device.has_session(address):
            return
        context = self._device.context
        bundle = self._backend.fetch_bundle(context.address, token, address)
        if bundle.address != address:
            raise EnvelopeMismatch(f"the back end answered with a bundle of {bundle.address}")
        self._device.start_session(bundle)

    def _flush(self, token: bytes, wanted: bytes | None = None) -> None:
        """Deposit what waits in the outbox; only what becomes of the wanted row is reported."""
        store = self._device.context.store
        with store.transaction() as tx:
            waiting = list_outbox(tx)
        for row, envelope in waiting:
            final: BackendError | RemoteError | None = None
            try:
                self._backend.deposit(token, envelope.encode())
            except (UnknownRecipient, BackendRefused, RemoteError) as error:
                final = error
            except MailboxFull as error:
                if row != wanted:
                    continue  # it was promised to be sent, and will be when there is room
                final = error
            with store.transaction() as tx:
                remove_from_outbox(tx, row)
            if final is not None and row == wanted:
                raise final

    # --- The inbox --------------------------------------------------------------------------

    def _unseen(self, limit: int) -> list[InboxItem]:
        """List items of the inbox that this object has not handed over yet."""
        with self._device.context.store.transaction() as tx:
            listed = list_inbox(tx)
        return [
            replace(item, redelivered=item.receipt not in self._own_receipts)
            for _, item in listed
            if item.receipt not in self._seen_receipts
        ][:limit]

    def _fetch(self, token: bytes, limit: int, errors: list[E2ECrossError]) -> None:
        """Move waiting envelopes into the inbox; one that fails for now stays where it is."""
        context = self._device.context
        known = self._acknowledge(token)
        after = taken = 0
        while taken < limit and len(errors) < limit:
            wanted = limit - taken
            batch = self._backend.fetch(context.address, token, wanted, after)
            # Numbers ascend; a back end that repeats itself is not followed.
            batch = [(number, data) for number, data in batch if number > after][:wanted]
            for number, data in batch:
                after = max(after, number)
                try:
                    if number not in known:
                        self._take_in(token, number, data)
                except StoreError as error:
                    errors.append(error)
                else:
                    taken += 1
            if not batch:
                break
        if taken:
            self._acknowledge(token)

    def _acknowledge(self, token: bytes) -> set[int]:
        """Tell the back end what has arrived; returns the numbers that are in the inbox."""
        context = self._device.context
        with context.store.transaction() as tx:
            known = list_known_numbers(tx)
        self._acknowledged &= known
        if known > self._acknowledged:
            self._backend.acknowledge(context.address, token, sorted(known - self._acknowledged))
            self._acknowledged |= known
            with context.store.transaction() as tx:
                remove_confirmed_numbers(tx, known)
        return known

    def _take_in(self, token: bytes, number: int, data: bytes) -> None:
        context = self._device.context
        envelope: Envelope | None = None
        try:
            envelope = Envelope.decode(data)
            message = decode_ciphertext(context, envelope)
            with context.store.transaction() as tx:
                payload, changed = decrypt_envelope(context, tx, envelope, message, context.clock())
                message_ = message_from_payload(payload, identity_changed=changed)
                receipt = put_message(tx, number, message_)
        except RemoteError as error:
            if self._was_taken_in(token, number):
                return
            with context.store.transaction() as tx:
                if number in list_known_numbers(tx):
                    return  # another process was faster
                receipt = put_failure(tx, number, envelope, error, retrying=False)
        self._own_receipts.add(receipt)

    def _was_taken_in(self, token: bytes, number: int) -> bool:
        """Tell whether another process has taken in what this one has fetched.

        The inbox is asked first: what has left it, confirmed, had left the back end before.
        """
        with self._device.context.store.transaction() as tx:
            known = number in list_known_numbers(tx)
        address = self._device.address
        return known or number not in dict(self._backend.fetch(address, token, 1, number - 1))


def _recipient_address(recipient: Address | UserId | str) -> Address:
    require_type("recipient", recipient, Address, UserId, str)
    if isinstance(recipient, Address):
        return recipient
    if isinstance(recipient, UserId):
        return Address(recipient.app, recipient.user)
    try:
        return Address.parse(recipient)
    except InvalidArgument as error:
        raise InvalidArgument(f"recipient is not acceptable: {error}") from error
