# SPDX-License-Identifier: Apache-2.0
"""What the back end of the page does with its own hands, past the rules of its relay.

Rules:
- It reads and writes the relay's file, withholds mail, and puts into mailboxes what it likes.
- What it does is shown like all that passes.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from e2ecross.address import Address
from e2ecross.demo.back_end import BackEnd
from e2ecross.demo.ghost import GhostAccount
from e2ecross.demo.people import DemoFailed, Person
from e2ecross.demo.web.cast import PHONES
from e2ecross.demo.web.journal import Event
from e2ecross.demo.web.outcome import about
from e2ecross.demo.web.phones import PhoneRefused
from e2ecross.demo.web.play import Play, Written
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.signal_message import (
    VERSIONS,
    decode_prekey_signal_message,
    decode_signal_message,
)

__all__ = ["Hands", "flip_bit", "write_address"]

_SECONDS: Final = 20.0
"""How long a phone may take to receive what waits for it: a hundred times the usual."""
_LOOK_SECONDS: Final = 0.05


class Hands:
    """The back end's hands.

    Attributes:
        play: what it has its hands on.
        file: of the relay.
        was_list_refused: whether a list of devices that it has forged was looked at, and refused.
    """

    def __init__(self, play: Play) -> None:
        self.play = play
        self.file = BackEnd(play.relay.file, play.relay.blob_folder)
        self.was_list_refused = False
        self._ghost: GhostAccount | None = None
        self._open = contextlib.ExitStack()

    def ghost(self) -> GhostAccount:
        """Return an account of its own, the same each time."""
        if self._ghost is None:
            self._ghost = self._open.enter_context(GhostAccount(self.play.relay.file))
        return self._ghost

    def close_later(self, close: Callable[[], None]) -> None:
        """Have something closed in the end."""
        self._open.callback(close)

    def close(self) -> None:
        """Close what was opened."""
        self._open.close()

    # --- What it does ---------------------------------------------------------------------------

    def intercept(
        self, phone: str, chat: str, text: str, readers: Sequence[str]
    ) -> tuple[Written, list[bytes]]:
        """Let somebody write, and take copies away before they are handed out.

        Args:
            phone: who writes.
            chat: to whom.
            text: what.
            readers: for whose phones.

        Returns:
            The message, and the copies in the order of `readers`.

        Raises:
            DemoFailed: there is no such copy.
            PhoneRefused: it was not sent.
        """
        people = [PHONES[reader] for reader in readers]
        held = {person.address for person in people}
        with self.play.holding(held):
            written, _ = self.play.send(phone, chat, text)
            envelopes = [self.copy_of(written, person) for person in people]
            for person, envelope in zip(people, envelopes, strict=True):
                self.file.withhold(person, envelope)
        for address in held:
            self.play.relay.ring(address)
        return written, envelopes

    def copy_of(self, written: Written, person: Person) -> bytes:
        """Return the envelope of a message for somebody.

        Raises:
            DemoFailed: it has not passed lately.
        """
        envelope = self.play.relay.find(written.id, person.address)
        if envelope is None:
            raise DemoFailed(f"the message for {person.name} has not passed lately")
        return envelope

    def put(self, reader: str, envelope: bytes) -> None:
        """Put something into somebody's mailbox."""
        address = PHONES[reader].address
        self.play.relay.note_by_hand(envelope)
        self.file.put_at(address, envelope)
        self.play.relay.ring(address)

    # --- What comes of it -----------------------------------------------------------------------

    def wait(self, after: int, wanted: Callable[[Event], bool]) -> Event | None:
        """Wait for an event after the one of that number; None: it does not come."""
        return self.play.journal.wait_for(wanted, after, _SECONDS)

    def wait_for_group(self, reader: str, chat: str) -> None:
        """Wait until a phone knows of a group, which may have been made just now.

        Raises:
            DemoFailed: it does not get to know of it.
        """
        ends = time.monotonic() + _SECONDS
        while time.monotonic() < ends:
            with contextlib.suppress(PhoneRefused):
                self.play.phone(reader).ask("show_group", chat=chat)
                return
            time.sleep(_LOOK_SECONDS)
        raise DemoFailed(f"the phone of {PHONES[reader].name} does not know of the group")

    def what_became(self, reader: str, message_id: str, after: int) -> Event | None:
        """Wait until a phone has shown a message, or said why it does not; or has taken it quietly.

        Args:
            reader: whose phone.
            message_id: in hexadecimal.
            after: the number of the newest event before.

        Returns:
            An event of type message or notice; None: it left the mailbox, and nothing was said.

        Raises:
            DemoFailed: it has not been taken.
            PhoneRefused: it cannot be found out.
        """
        wanted = about(reader, message_id)
        ends = time.monotonic() + _SECONDS
        while time.monotonic() < ends:
            found = self.play.journal.wait_for(wanted, after, _LOOK_SECONDS)
            if found is not None:
                return found
            if not self._waits(reader, message_id):
                self.play.phone(reader).ask("settle")
                return self.play.journal.wait_for(wanted, after, 0)
        raise DemoFailed(f"the phone of {PHONES[reader].name} has not fetched what was put there")

    def _waits(self, reader: str, message_id: str) -> bool:
        waiting = self.file.waiting(PHONES[reader])
        return any(Envelope.decode(each).message_id.hex() == message_id for each in waiting)


def write_address(envelope: bytes, person: Person) -> bytes:
    """Write another recipient on an envelope."""
    recipient = Address.parse(person.address)
    return replace(Envelope.decode(envelope), recipient=recipient).encode()


def flip_bit(envelope: bytes) -> bytes:
    """Flip the lowest bit of the first encrypted byte of a message to one device."""
    decoded = Envelope.decode(envelope)
    if decoded.kind is MessageKind.PREKEY:
        signal = decode_prekey_signal_message(decoded.ciphertext, VERSIONS).message
    else:
        signal = decode_signal_message(decoded.ciphertext, VERSIONS)
    encrypted = signal.ciphertext
    changed = bytearray(decoded.ciphertext)
    changed[decoded.ciphertext.rindex(encrypted)] ^= 1
    return replace(decoded, ciphertext=bytes(changed)).encode()
