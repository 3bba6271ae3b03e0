# SPDX-License-Identifier: Apache-2.0
"""What users have sent, and where it is: nothing but what a back end has lost may be missing."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from e2ecross import Address
from e2ecross.wire.content import Resent, RetryRequest
from tests.properties.hostile_backend import Fate, LyingBackend
from tests.properties.installations import Installation

__all__ = ["Account", "Mail"]


@dataclass(eq=False)
class Mail:
    """What a user has sent, or tried to.

    Attributes:
        sender: the installation.
        recipient: whom it is for.
        message_id: 16 bytes.
        since: when it was first tried, in the back end's time.
        texts: those that went under the id.
        promises: when `send` has returned, or `pending` has listed it.
        told: the last call of `send` has said that it was not sent.
        given_up: when `send` has said that it was given up before, or has taken another text under
            the id although the first was promised: that one must have been.
        was_shown: an installation of the recipient has it.
    """

    sender: Installation
    recipient: Address
    message_id: bytes
    since: int
    texts: list[str]
    promises: list[int] = field(default_factory=list)
    told: bool = False
    given_up: list[int] = field(default_factory=list)
    was_shown: bool = False

    @property
    def is_forgotten(self) -> bool:
        """Whether its sender was put back to a time when it was not sent, or promised."""
        return self.was_forgotten(self.sender.backend.now)

    def was_forgotten(self, when: int) -> bool:
        """The same of an earlier time: it may have been sent again since."""
        promises = [promise for promise in self.promises if promise < when]
        return all(map(self.sender.forgot, promises or [self.since]))


@dataclass(eq=False)
class Account:
    """A message, and what became of all envelopes that it, or a request for it, went in.

    Attributes:
        mail: the message.
        reader: the installation that its recipient has now.
        backend: where it went.
        failed: what the reader was told of it: None for nothing, True that it may still come.
        fates: those envelopes, as far as the back end had taken them.
    """

    mail: Mail
    reader: Installation
    backend: LyingBackend = field(repr=False)
    failed: bool | None = None
    fates: list[Fate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fates = list(self._collect())
        self.failed = self.reader.failed.get(self._key)

    def is_settled(self, *, decided: bool) -> bool:
        """Whether nobody is owed anything.

        Args:
            decided: whether everybody has decided about all keys.
        """
        was_taken = any(not isinstance(fate.content, RetryRequest) for fate in self.fates)
        if self.mail.told or not (self.mail.promises or was_taken):
            return True
        sender, message_id = self.mail.sender, self.mail.message_id
        if self.mail.was_shown or message_id in sender.dropped:
            return True
        if not decided:
            if message_id in sender.pending:
                return True
            contacts = [contact for contact, _ in self.reader.decisions([sender.address])]
            if sender.address in contacts:  # it may be for the reader to decide
                return True
        return self.excuse != ""

    @property
    def excuse(self) -> str:
        """Why it need not have arrived, and nobody need have been told; or empty."""
        was_taken = any(not isinstance(fate.content, RetryRequest) for fate in self.fates)
        if self.mail.is_forgotten and not was_taken:
            return "not sent as far as its sender knows"
        if self.mail.is_forgotten and self.failed is not None:
            return "asked for of a sender who does not know it"
        return next(filter(None, map(self._excuse, self.fates)), "")

    @property
    def _key(self) -> tuple[Address, bytes]:
        return self.mail.sender.address, self.mail.message_id

    def _collect(self) -> Iterator[Fate]:
        there = (self.mail.sender.address, self.mail.recipient)
        back = there[::-1]
        ids = {self.mail.message_id}
        for fate in self.backend.fates.values():
            envelope, content = fate.envelope, fate.content
            way = (envelope.sender, envelope.recipient)
            is_copy = isinstance(content, Resent) and content.message_id == self.mail.message_id
            if way == there and (is_copy or envelope.message_id == self.mail.message_id):
                ids.add(envelope.message_id)
                yield fate
            if way == back and isinstance(content, RetryRequest) and content.message_id in ids:
                yield fate

    def _excuse(self, fate: Fate) -> str:
        """Why an envelope was lost, or could not be read through the back end's fault; or empty."""
        if isinstance(fate.content, RetryRequest):
            return self._excuse_request(fate)
        sender, reader = self.mail.sender, self.reader
        key = (sender.address, fate.envelope.message_id)
        failed = reader.failed.get(key)
        if failed is False and (reader.address, sender.address) in self.backend.refused:
            return "could not be asked for"
        if _is_forgotten(fate, reader):
            return "received in a lost part"
        if key in reader.refused:
            return "refused by policy"
        if reader.token in fate.readers:
            return ""
        if fate.lost:
            return fate.lost
        if fate.readers:
            return "received by an installation that is gone"
        return "damaged and not asked for" if fate.damaged and not failed else ""

    def _excuse_request(self, fate: Fate) -> str:
        sender, reader = self.mail.sender, self.reader
        key = (reader.address, fate.envelope.message_id)
        if _is_forgotten(fate, sender):
            return "request received in a lost part"
        if sender.token in fate.readers:
            if self.mail.was_forgotten(fate.readers[sender.token]):
                return "asked for of a sender who did not know it"
            if key in sender.refused:
                return "request refused by policy"  # its user hears of it, and decides
            rejected = sender.rejected.get((reader.address, reader.device.identity_key))
            if rejected is not None and rejected < fate.readers[sender.token]:
                return "request under a key that the user has rejected"
            is_misled = key in sender.failed and self.backend.was_misled(fate)
            return "request under keys that are gone" if is_misled else ""
        if fate.lost or fate.damaged:
            return "request lost"
        return "request received by an installation that is gone" if fate.readers else ""


def _is_forgotten(fate: Fate, reader: Installation) -> bool:
    """Whether an installation got an envelope in a part of its store that is lost."""
    got = ((fate.readers, fate.envelope.encode()), (fate.failed, fate.damaged))
    return any(
        reader.token in when and reader.forgot(when[reader.token], data) for when, data in got
    )
