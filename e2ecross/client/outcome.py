# SPDX-License-Identifier: Apache-2.0
"""What has become of a message with each of the devices that it is for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from e2ecross.address import Address
from e2ecross.client.depositing import FINAL
from e2ecross.client.sent import Delivery, Sent
from e2ecross.device.bundles import NO_NEWS, BundleNews
from e2ecross.device.composing import ALL_SHOWN, Composed
from e2ecross.device.posted import Posted
from e2ecross.errors import E2ECrossError, MailboxFull

__all__ = ["Outcome"]

_IS_FINAL = (*FINAL, MailboxFull)
"""What is not sent later."""
_NOT_KEPT: Final = (ALL_SHOWN, None, 0)


@dataclass(slots=True)
class Outcome:
    """What has become of a message.

    Attributes:
        conversation: with whom.
        devices: all that it is for.
        failed: those of them that the back end has not taken it for, and why.
        error: why it was not even encrypted.
        list_expired: the list of the recipient's devices is too old.
        message: what it is, and what the recipient's devices show of it; None: it is not known.
    """

    conversation: Address
    devices: dict[Address, None] = field(default_factory=dict)
    failed: dict[Address, E2ECrossError] = field(default_factory=dict)
    error: E2ECrossError | None = None
    list_expired: bool = False
    message: Composed | None = None

    def note(self, posted: Posted) -> None:
        """Note where the message is."""
        self.conversation = posted.conversation
        self.devices.update(dict.fromkeys(posted.devices))
        self.list_expired = posted.list_expired
        self.message = self.message or posted.message

    def result(
        self,
        sender: Address,
        message_id: bytes,
        unreachable: Mapping[Address, E2ECrossError],
        news: Mapping[Address, BundleNews],
    ) -> Sent | E2ECrossError:
        """Return what the caller of `send` gets, see there.

        Args:
            sender: this device.
            message_id: of the message, 16 bytes.
            unreachable: devices with whom no session could be started, and why.
            news: what bundles have brought, by device.
        """
        if self.error is not None:
            return self.error
        if not (self.failed or unreachable or news):  # mostly
            return self._sent(sender, message_id, tuple(map(Delivery, self.devices)))
        failed = {each: self.failed.get(each) or unreachable.get(each) for each in self.devices}
        user = self.conversation.user_id
        errors = [error for each, error in failed.items() if each.user_id == user]
        if errors and None not in errors:
            # What stays in the outbox is sent later: then nothing is given up yet.
            return min(filter(None, errors), key=lambda error: isinstance(error, _IS_FINAL))
        deliveries = []
        for each, error in failed.items():
            brought, problem = news.get(each, NO_NEWS), "" if error is None else error.code
            deliveries.append(
                Delivery(each, brought.identity_changed, brought.version_downgraded, problem)
            )
        return self._sent(sender, message_id, tuple(deliveries))

    def _sent(self, sender: Address, message_id: bytes, deliveries: tuple[Delivery, ...]) -> Sent:
        plan, content, sent_at_ms, *_ = self.message or _NOT_KEPT
        said = (plan, sender, self.conversation.user_id, sent_at_ms, content)
        return Sent(message_id, deliveries, self.list_expired, *said)
