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
from e2ecross.arguments import forgets_secrets, require_methods, require_type, require_whole_number
from e2ecross.client.backend import Backend
from e2ecross.client.incoming import fetch_into_inbox
from e2ecross.client.link import Link
from e2ecross.client.outgoing import flush_outbox, prepare_message
from e2ecross.device.device import Device
from e2ecross.device.prekey_upkeep import needs_rotation
from e2ecross.device.sending import checked_message_id, require_content, require_other_device
from e2ecross.errors import BackendError, E2ECrossError, InvalidArgument, NotRegistered
from e2ecross.protocol.prekeys import one_time_prekeys_to_add
from e2ecross.state.context import require_device, save_device
from e2ecross.state.epoch import check_epoch
from e2ecross.state.inbox import InboxItem, confirm_in_inbox, list_inbox, receipt_of
from e2ecross.state.prekey_store import delete_expired_prekeys
from e2ecross.state.publication import read_publication
from e2ecross.wire.content import Content
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["Client", "Delivery", "Sent"]

_MAX_BATCH = 1000
_BACKEND_METHODS = [name for name in vars(Backend) if not name.startswith("_")]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of a sent message.

    Attributes:
        address: the device it is for.
        identity_changed: that device has another identity key than before, and
            `Policy.accept_changed_identity` has accepted it.
        version_downgraded: the session that was started for it has no post-quantum keys although
            that device has offered them before, and `Policy.accept_version_downgrade` has
            accepted that.
    """

    address: Address
    identity_changed: bool = False
    version_downgraded: bool = False


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

    __slots__ = (
        "_acknowledged",
        "_backend",
        "_device",
        "_is_epoch_checked",
        "_own_receipts",
        "_seen_receipts",
    )

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
        self._is_epoch_checked = False
        self._acknowledged: set[int] = set()  # back-end numbers in the inbox that it has heard of
        self._own_receipts: set[int] = set()  # put into the inbox by this object, not confirmed
        self._seen_receipts: set[int] = set()  # handed over by this object, not confirmed

    def __repr__(self) -> str:
        return f"<Client of {self._device.address}>"

    @property
    def device(self) -> Device:
        """The device."""
        return self._device

    @forgets_secrets
    def register(self) -> None:
        """Claim the device's address at the back end and publish its keys; may be repeated.

        Raises:
            BackendRefused: the address is taken, or may not be claimed.
            BackendError: the back end cannot be reached.
            RestoredStore: the store is older than what the back end has seen of the device.
            StoreError: the store cannot be read or written.
        """
        context = self._device.context
        token = context.entropy.bytes(TOKEN_BYTES)
        with context.store.transaction() as tx:
            record = require_device(tx)
            if record.backend_token:
                token = record.backend_token
            else:  # committed before it is used, so that a crash cannot lock us out
                save_device(tx, replace(record, backend_token=token))
        self._backend.register(context.address, token)
        link = Link(self._device, self._backend, token)
        self._check_epoch(link)
        if not record.registered:
            self._publish(link, context.policy.one_time_prekeys_target)
            with context.store.transaction() as tx:
                save_device(tx, replace(require_device(tx), registered=True))
        self.maintain()

    def maintain(self) -> None:
        """Refill one-time prekeys, replace an old signed prekey, send what waits in the outbox.

        Raises:
            NotRegistered: call `register` first.
            BackendError: the back end cannot be reached.
            RestoredStore: the store is older than what the back end has seen of the device.
            StoreError: the store cannot be read or written.
        """
        link = self._link()
        self._check_epoch(link)
        self._maintain_prekeys(link)
        flush_outbox(link)

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
                failed, the same message is tried again and not encrypted anew; with the id of
                one that was sent, nothing is sent.

        Raises:
            UnknownRecipient: the recipient has not registered.
            UntrustedIdentity: the recipient's identity key has changed and was not accepted.
            InvalidKey: the back end handed out a bad bundle; likewise InvalidSignature and
                EnvelopeMismatch (a bundle of somebody else). Nothing was encrypted to it.
            MailboxFull: too many messages wait for the recipient; this one was not sent.
            BackendError: the back end cannot be reached. The message stays in the outbox and is
                sent with the next call that reaches the back end; not so after a restore, before
                the back end was reached once.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: an argument has the wrong type or length.
            StoreError: the store cannot be read or written.
        """
        context = self._device.context
        address = _recipient_address(recipient)
        require_other_device(context, address, "recipient")
        require_content(content)
        message_id = checked_message_id(context, message_id)
        link = self._link()
        try:
            self._check_epoch(link)
        except BackendError:  # out of reach: encrypted now, and asked before it leaves
            with context.store.transaction() as tx:
                if require_device(tx).adopts_epoch:  # restored: nothing counts what it sends yet
                    raise
        row, news = prepare_message(link, address, content, message_id)
        if row is not None:
            self._check_epoch(link)
            flush_outbox(link, row)
        delivery = Delivery(address, news.identity_changed, news.version_downgraded)
        return Sent(message_id, (delivery,))

    def receive(self, limit: int = 100) -> list[InboxItem]:
        """Return what has arrived, in order: messages, and failures in their places.

        An item that is not confirmed comes again from the next `Client` of this store, flagged
        as `redelivered`. Who sent a message that could not be read is asked to send it again
        (`FailedMessage.retrying`), and who asks us gets what they ask for.

        Args:
            limit: how many items at most, 1 to 1000.

        Raises:
            NotRegistered: call `register` first.
            BackendError: the back end cannot be reached, and nothing is there to return.
            RestoredStore: the store is older than what the back end has seen of the device, and
                nothing is there to return.
            StoreError: the store cannot be read or written, and nothing is there to return.
            PrekeysExhausted: the device has used its prekey ids, and nothing is there to return.
            InvalidArgument: `limit` is out of range.
        """
        require_whole_number("limit", limit, 1, _MAX_BATCH)
        link = self._link()
        errors: list[E2ECrossError] = []
        waiting = len(self._unseen(limit))
        if waiting < limit:
            try:
                self._check_epoch(link)
                fetch_into_inbox(
                    link, limit - waiting, self._acknowledged, self._own_receipts, errors
                )
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

    def _link(self) -> Link:
        with self._device.context.store.transaction() as tx:
            record = require_device(tx)
        if not record.backend_token:
            raise NotRegistered("this device is not registered at the back end: call register")
        return Link(self._device, self._backend, record.backend_token)

    def _check_epoch(self, link: Link) -> None:
        """Compare the store with what the back end has seen, once, before anything leaves."""
        if self._is_epoch_checked:
            return
        context = link.context
        epoch = link.backend.epoch(context.address, link.token)
        with context.store.transaction() as tx:
            check_epoch(tx, epoch)
        self._is_epoch_checked = True

    def _publish(self, link: Link, one_time: int) -> None:
        published = self._device.publish(one_time)
        with link.context.store.transaction() as tx:
            record = require_device(tx)
            waiting = read_publication(tx, record)
        if waiting != published.encode():
            return  # another process has published and confirmed it
        link.backend.publish(
            link.token,
            published,
            epoch=record.publication_epoch,
            replace=record.replaces_prekeys,
        )
        with suppress(InvalidArgument):  # another thread has confirmed it, and made the next one
            self._device.confirm_published(published)

    def _maintain_prekeys(self, link: Link) -> None:
        context = link.context
        left = link.backend.one_time_prekey_count(context.address, link.token)
        if type(left) is not int:
            raise BackendError("the back end answered with something that is no number of prekeys")
        add = one_time_prekeys_to_add(
            max(left, 0),
            context.policy.one_time_prekeys_low,
            context.policy.one_time_prekeys_target,
        )
        with context.store.transaction() as tx:
            record = require_device(tx)
            rotate = needs_rotation(context, tx, record) or record.replaces_prekeys
            waiting = read_publication(tx, record)
            if not waiting:  # else the old one may still be handed out
                kept_ms = context.policy.signed_prekey_kept_ms
                delete_expired_prekeys(tx, context.clock(), kept_ms)
        # Of those that are left the private halves are gone; or they are of one kind only.
        if record.replaces_prekeys or record.last_resort_kyber_prekey_id == 0:
            add = context.policy.one_time_prekeys_target
        if add or rotate or waiting:
            self._publish(link, add)

    def _unseen(self, limit: int) -> list[InboxItem]:
        """List items of the inbox that this object has not handed over yet."""
        with self._device.context.store.transaction() as tx:
            listed = list_inbox(tx)
        return [
            replace(item, redelivered=item.receipt not in self._own_receipts)
            for _, item in listed
            if item.receipt not in self._seen_receipts
        ][:limit]


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
