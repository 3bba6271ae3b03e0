# SPDX-License-Identifier: Apache-2.0
"""The methods of `Client` that send; what becomes of a message is in `fan_out.py`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, cast

from e2ecross.address import Recipient
from e2ecross.arguments import require_callable, require_list, require_type
from e2ecross.client.account import show_devices
from e2ecross.client.connected import Connected
from e2ecross.client.fan_out import FanOut
from e2ecross.client.sent import Sent, outgoing
from e2ecross.conversation.negotiation import Plan
from e2ecross.crypto.secret import without_frames
from e2ecross.device.batch import Progress
from e2ecross.device.composing import ALL_SHOWN, Draft, draft_of
from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.posting import plan_message
from e2ecross.device.recipient import recipient_address
from e2ecross.device.sending import checked_message_id
from e2ecross.errors import E2ECrossError, InvalidArgument
from e2ecross.state.message import Message
from e2ecross.wire.content import Expiry, Media, SentContent, Text

__all__ = ["SendingCalls"]

_AT_ONCE: Final = 256
"""Recipients of one transaction: a hundredth of its commit falls to each, and others who use the
store wait for some 20 ms."""


class SendingCalls(Connected):
    """How a `Client` sends."""

    __slots__ = ()

    def send(
        self,
        recipient: Recipient,
        content: SentContent,
        *,
        message_id: bytes | None = None,
        expiry: Expiry | None = None,
        view_once: bool = False,
        fallback: str | None = None,
        allow_lossy: bool = False,
        purpose: int | None = None,
    ) -> Sent:
        """Encrypt content for all devices of a user and the other own ones, and deposit it.

        A device that cannot be reached stops no other: `Sent.deliveries` says why it has no copy.

        Args:
            recipient: a user, or its text, such as "instagram:budi"; or an address, which stands
                for its account. The own user: a note for the other own devices.
            content: `Text`, `Bytes`, `Media`, `Options`, `Reaction`, `Edit`, `Delete` or `Answer`;
                `ConsentGrant` or `ConsentRevoke`.
            message_id: 16 bytes; by default random. With the id of a message whose sending has
                failed, that one is tried again and not encrypted anew; of one that was sent,
                nothing is sent. An id belongs to its recipient and content, and is used up when a
                `Notice` says of a message that had left that it was not delivered.
            expiry: when it is to be gone; never of a `Delete` or `Answer`. By default a reply, a
                reaction or an edit has that of its target.
            view_once: it can be looked at once; of `Text` and `Media` alone.
            fallback: what a device shows that cannot show it, at most 1,024 bytes; or made of it.
            allow_lossy: send it also where some devices of the recipient do not show all of it.
            purpose: what it is sent for, 1 to 4: `ConsentGrant.SERVICE`, `UTILITY`, `MARKETING` or
                `AUTHENTICATION`. Then the recipient must have granted that, and it is counted.

        Raises:
            LossyContent: they do not, and `allow_lossy` is not set; `plan` says what is lost.
            ContentRefused: some do not obey the expiry, or that it can be looked at once.
            ConsentMissing: the recipient has granted no message of this purpose now.
            UnknownRecipient: the recipient has not registered.
            UntrustedIdentity: the recipient's identity key has changed and was not accepted.
            HostingChanged: others hold keys of the account since; confirm the `Notice` first.
            RemoteError: the back end handed out a list or a bundle that is not good: InvalidKey,
                InvalidSignature, VersionDowngrade, UnlistedDevice, EnvelopeMismatch.
            MailboxFull: too many messages wait for the recipient; this one was not sent.
            BackendError: it cannot be reached, or has refused. In the former case the message waits
                (`pending`), and is sent later or named by a `Notice`; but not before keys of a new
                contact could be fetched, nor after a restore before the back end was reached.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: an argument is not acceptable, or the message id was used up.
            StoreError: the store cannot be read or written.
        """
        draft = draft_of(
            content, expiry, fallback, view_once=view_once, allow_lossy=allow_lossy, purpose=purpose
        )
        message = outgoing(self._context, recipient, message_id)
        (result,) = self._fan_out().send([message], draft)
        if isinstance(result, E2ECrossError):
            raise result
        return result

    def send_many(
        self,
        recipients: Iterable[Recipient],
        content: SentContent,
        *,
        message_id: bytes | None = None,
        progress: Progress | None = None,
        expiry: Expiry | None = None,
        view_once: bool = False,
        fallback: str | None = None,
        allow_lossy: bool = False,
        purpose: int | None = None,
    ) -> list[Sent | E2ECrossError]:
        """Send the same content to many users, each of whom gets a message of their own.

        Args:
            recipients: as `send` takes them; who is named twice gets two, with one id only one.
            content: as `send` takes it; what becomes of it is planned for each.
            message_id: 16 bytes, the id of every message. The call, repeated with it after a crash
                or an error, reaches nobody twice. By default each has a random one.
            progress: called with how many recipients are done and how many there are, every few
                hundred, between transactions. What it raises ends the call; what was sent is sent.
            expiry: see `send`; likewise the others.
            view_once: see `expiry`.
            fallback: see `expiry`.
            allow_lossy: see `expiry`.
            purpose: see `expiry`; asked and counted for each recipient.

        Returns:
            For each recipient, in order, `Sent`, or the error that `send` would have raised. No
            recipient's error touches another. Where an error befell the whole call after some were
            done, such as `StoreError`, it stands in the place of all others.

        Raises:
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            BackendError: after a restore, before the back end was reached once.
            InvalidArgument: another argument than a recipient is not acceptable.
            StoreError: the store cannot be read or written; nothing has been sent.
        """
        draft = draft_of(
            content, expiry, fallback, view_once=view_once, allow_lossy=allow_lossy, purpose=purpose
        )
        listed = require_list("recipients", recipients)
        checked_message_id(self._context, message_id)
        if progress is not None:
            require_callable("progress", progress)
        return self._send_parts(listed, message_id, draft, progress)

    def plan(
        self,
        recipient: Recipient,
        content: SentContent,
        *,
        expiry: Expiry | None = None,
        view_once: bool = False,
        fallback: str | None = None,
    ) -> Plan:
        """Return what the devices of a user would show of a content, if it were sent now.

        `send` plans again by itself: devices may come and go meanwhile. The list of the user's
        devices is asked for if none is known. The arguments are those of `send`.

        Raises:
            UnknownRecipient: the recipient has not registered.
            UntrustedIdentity: the account has another key than the accepted one.
            RemoteError: the back end has handed out a list that is not acceptable.
            BackendError: the back end cannot be reached.
            NotRegistered: call `register` first.
            InvalidArgument: an argument is not acceptable.
            StoreError: the store cannot be read or written.
        """
        draft = draft_of(content, expiry, fallback, view_once=view_once)
        address = recipient_address(recipient)
        if draft.goes_alone:
            return ALL_SHOWN
        show_devices(self._way(), address.user_id)
        return plan_message(self._context, address, draft)

    def forward(
        self,
        message: Message,
        recipient: Recipient,
        *,
        message_id: bytes | None = None,
        expiry: Expiry | None = None,
        view_once: bool = False,
        fallback: str | None = None,
        allow_lossy: bool = False,
    ) -> Sent:
        """Send what a message says to somebody else, without its mentions and what it answers.

        Args:
            message: `Message.forwardable`, of whatever conversation.
            recipient: see `send`; likewise the others.
            message_id: see `recipient`.
            expiry: see `recipient`.
            view_once: see `recipient`.
            fallback: see `recipient`.
            allow_lossy: see `recipient`.

        Raises: as `send`, and
            InvalidArgument: the message is not forwardable: it is to be gone, or an act.
        """
        require_type("message", message, Message)
        if not message.forwardable:
            raise InvalidArgument("message must be forwardable: it is to be gone, or is an act")
        content = cast(SentContent, message.content)
        if isinstance(content, Text | Media):
            content = replace(content, mentions=(), reply_to=None)
        return self.send(
            recipient,
            content,
            message_id=message_id,
            expiry=expiry,
            view_once=view_once,
            fallback=fallback,
            allow_lossy=allow_lossy,
        )

    def _fan_out(self) -> FanOut:
        return FanOut(*self._way_or_failure())

    def _send_parts(
        self,
        recipients: Sequence[Recipient],
        message_id: bytes | None,
        draft: Draft,
        progress: Progress | None,
    ) -> list[Sent | E2ECrossError]:
        fan_out = self._fan_out()
        results: list[Sent | E2ECrossError] = []
        for start in range(0, len(recipients), _AT_ONCE):
            part = recipients[start : start + _AT_ONCE]
            try:
                results += self._send_part(fan_out, part, message_id, draft)
            except E2ECrossError as error:
                if not start:
                    raise
                return results + [error] * (len(recipients) - start)
            if progress is not None:
                progress(len(results), len(recipients))
        return results

    def _send_part(
        self,
        fan_out: FanOut,
        recipients: Sequence[Recipient],
        message_id: bytes | None,
        draft: Draft,
    ) -> list[Sent | E2ECrossError]:
        messages: list[Outgoing | InvalidArgument] = []
        for recipient in recipients:
            try:
                messages.append(outgoing(self._context, recipient, message_id, is_shared=True))
            except InvalidArgument as error:
                messages.append(without_frames(error))
        results = iter(fan_out.send([e for e in messages if isinstance(e, Outgoing)], draft))
        return [next(results) if isinstance(e, Outgoing) else e for e in messages]
