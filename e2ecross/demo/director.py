# SPDX-License-Identifier: Apache-2.0
"""What happens on stage: sending, receiving, attacking; every step checked as it is made.

Rules:
- Nothing is believed that an app did not answer or the relay's file does not hold.
- A step that turns out otherwise than it must is a `DemoFailed`.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from e2ecross.cli.describe import EnvelopeView, describe
from e2ecross.demo.back_end import BackEnd
from e2ecross.demo.facts import (
    Attack,
    Copy,
    Foiled,
    GroupLetter,
    Letter,
    Received,
    SafetyNumberPair,
    Traffic,
)
from e2ecross.demo.people import PEOPLE, DemoFailed, Person
from e2ecross.demo.stage import Stage
from e2ecross.wire.envelope import Envelope

__all__ = ["Director", "Search", "check", "take"]

_T = TypeVar("_T")
_PIECE_BYTES = 16


def check(condition: bool, otherwise: str) -> None:
    """End the demo unless the condition holds.

    Raises:
        DemoFailed: with `otherwise`.
    """
    if not condition:
        raise DemoFailed(otherwise)


def take(answer: dict[str, Any], key: str, wanted: type[_T]) -> _T:
    """Return a value of an app's answer.

    Raises:
        DemoFailed: it is missing, or of another type.
    """
    value = answer.get(key)
    if not isinstance(value, wanted):
        raise DemoFailed(f"an app's answer lacks {key!r}: {answer}")
    return value


class Search:
    """Looks for texts, and pieces of them, in what the relay has on disk."""

    def __init__(self) -> None:
        self.searches = 0
        self.bytes_searched = 0
        self.texts_found = 0
        self.addresses_found = 0

    def look(self, haystack: bytes, texts: Iterable[str], address: str) -> list[str]:
        """Search for every text; and for an address that is there, lest the search is blind.

        Returns:
            The texts that were found.
        """
        self.searches += 1
        self.bytes_searched += len(haystack)
        self.addresses_found += haystack.count(address.encode())
        found = [text for text in texts if any(piece in haystack for piece in _pieces(text))]
        self.texts_found += len(found)
        return found


class Director:
    """Lets people write and read, and notes all of it.

    Attributes:
        stage: the apps' processes.
        back_end: the relay's file in hostile hands.
        letters: all that were sent, in that order.
        read: those of them that arrived as they were written, in the order of reading.
        copies_made: for other devices of either account.
        copies_read: those of them that arrived as they were written.
        group: what names the group.
        group_letters: all that were sent into it, in that order.
        group_copies_read: those of their copies that arrived as they were written, each with its
            device.
        files_wanted: how many times a file was to come to a device.
        files_received: those that have come.
        attacks_tried: what the back end has forged, repeated or hidden.
        attacks_refused: those of them that were refused as they must be, in that order.
        compared: safety numbers that two people have compared.
        linked: devices that were linked.
        photo_bytes: size of the photo that was sent.
        group_members: how many accounts were in the group at first.
        sent_over_network: how many of the letters went over a network; None if that was left out.
        search: for plaintext at the relay.
    """

    def __init__(self, stage: Stage, back_end: BackEnd) -> None:
        self.stage = stage
        self.back_end = back_end
        self.letters: list[Letter] = []
        self.read: list[Letter] = []
        self.copies_made: list[Copy] = []
        self.copies_read: list[Copy] = []
        self.group = ""
        self.group_letters: list[GroupLetter] = []
        self.group_copies_read: list[tuple[GroupLetter, str]] = []
        self.files_wanted = 0
        self.files_received: list[Received] = []
        self.attacks_tried = 0
        self.attacks_refused: list[Foiled] = []
        self.compared: list[SafetyNumberPair] = []
        self.linked: list[Person] = []
        self.photo_bytes = 0
        self.group_members = 0
        self.sent_over_network: int | None = None
        self.search = Search()

    def send(self, sender: Person, recipient: Person, text: str) -> Letter:
        """Let somebody write; return the letter as it now waits at the relay."""
        return self.post(sender, recipient, text, "send", text=text)

    def post(
        self, sender: Person, recipient: Person, text: str, do: str, /, **direction: str
    ) -> Letter:
        """The same of another kind of message, of which `text` is what is read in the end."""
        answer = self.stage.ask(sender, do, to=recipient.user, **direction)
        message_id = take(answer, "message_id", str)
        number = len(self.letters) + 1
        view, envelope = self._find(number, message_id, sender, recipient)
        devices = tuple(map(str, take(answer, "devices", list)))
        letter = Letter(number, sender, recipient, text, view, envelope, devices)
        self.letters.append(letter)
        self._search(recipient)
        return letter

    def copies(self, letter: Letter, *devices: Person) -> tuple[Copy, ...]:
        """Return the copies of a letter for other devices, as they wait at the relay.

        Raises:
            DemoFailed: one is missing, or there are more.
        """
        wanted = {letter.recipient.address, *(device.address for device in devices)}
        made_for = f"message {letter.number} was encrypted for {', '.join(letter.devices)}"
        check(set(letter.devices) == wanted, made_for)
        found = []
        for device in devices:
            place = self._find(letter.number, letter.view.message_id, letter.sender, device)
            found.append(Copy(letter, device, *place))
        self.copies_made += found
        return tuple(found)

    def deliver_copies(self, copies: Sequence[Copy]) -> None:
        """Let each of these devices fetch its copy: as it was written, and nothing else.

        Raises:
            DemoFailed: something else arrives.
        """
        for copy in copies:
            letter, name = copy.letter, copy.device.name
            items = self.receive(copy.device)
            check(len(items) == 1, f"{name} got {len(items)} messages instead of one: {items}")
            got = [items[0].get(key) for key in ("message_id", "sender", "text", "own_copy")]
            own = copy.device.user == letter.sender.user
            check(
                got == [letter.view.message_id, letter.sender.address, letter.text, own],
                f"the copy of message {letter.number} did not reach {name} as it was sent: {items}",
            )
            self.copies_read.append(copy)

    def deliver(self, *letters: Letter) -> None:
        """Let the recipient of these letters fetch: these must arrive, in this order, and no more.

        Raises:
            DemoFailed: something else arrives, or one of them with another text or sender.
        """
        recipient = letters[0].recipient
        items = self.receive(recipient)
        check(
            len(items) == len(letters),
            f"{recipient.name} got {len(items)} messages instead of {len(letters)}: {items}",
        )
        for item, letter in zip(items, letters, strict=True):
            got = (item.get("message_id"), item.get("sender"), item.get("text"))
            check(
                got == (letter.view.message_id, letter.sender.address, letter.text),
                f"message {letter.number} did not reach {recipient.name} as it was sent: {item}",
            )
            self.read.append(letter)

    def send_into_group(self, sender: Person, text: str, inside: Sequence[Person]) -> GroupLetter:
        """Let a member write; return the message as it now waits for all devices but the writer's.

        Raises:
            DemoFailed: it waits for others, or in more than one ciphertext.
        """
        number = len(self.group_letters) + 1
        answer = self.stage.ask(sender, "send_into_group", group=self.group, text=text)
        message_id = take(answer, "message_id", str)
        devices = tuple(map(str, take(answer, "devices", list)))
        readers = [device for device in inside if device is not sender]
        made_for = f"message {number} into the group is for {', '.join(devices)}"
        check(set(devices) == {device.address for device in readers}, made_for)
        found = [self._find(number, message_id, sender, device) for device in readers]
        ciphertexts = {Envelope.decode(envelope).ciphertext for _, envelope in found}
        check(len(ciphertexts) == 1, f"message {number} into the group differs between devices")
        kept = self.back_end.count_kept(*ciphertexts)
        letter = GroupLetter(number, sender, text, *found[0], devices, kept)
        self.group_letters.append(letter)
        self._search(readers[0])
        return letter

    def say_to_group(self, sender: Person, text: str, inside: Sequence[Person]) -> GroupLetter:
        """Let a member write, and all these devices but the writer's read it."""
        letter = self.send_into_group(sender, text, inside)
        self.deliver_to_group(letter, inside)
        return letter

    def deliver_to_group(self, letter: GroupLetter, inside: Iterable[Person]) -> None:
        """Let these devices but the writer's fetch: the message must arrive, and nothing else.

        Raises:
            DemoFailed: something else arrives.
        """
        for device in inside:
            if device is not letter.sender:
                self.check_read(letter, device, self.receive(device))

    def check_read(
        self, letter: GroupLetter, device: Person, items: Sequence[dict[str, Any]]
    ) -> None:
        """Note that a device has got a message into the group, and nothing else.

        Raises:
            DemoFailed: it has got something else.
        """
        wanted = [letter.view.message_id, letter.sender.address, letter.text, self.group]
        got = [
            [item.get(key) for key in ("message_id", "sender", "text", "group")] for item in items
        ]
        check(got == [wanted], f"{device.name} got {items} of message {letter.number}")
        self.group_copies_read.append((letter, device.address))

    def say(self, sender: Person, recipient: Person, text: str) -> Letter:
        """Let somebody write, and the recipient read it."""
        letter = self.send(sender, recipient, text)
        self.deliver(letter)
        return letter

    def attack(
        self,
        name: str,
        letter: Letter | GroupLetter,
        target: Person,
        envelope: bytes,
        done: str,
        code: str,
    ) -> Attack:
        """Put an envelope into somebody's mailbox; their app must refuse it with this code.

        Raises:
            DemoFailed: it is not refused, or for another reason.
        """
        self.attacks_tried += 1
        self.back_end.put(target, envelope)
        items = self.receive(target)
        check(len(items) == 1, f"{target.name} got {len(items)} messages instead of one: {items}")
        what = f"the attack {name!r} on message {letter.number}"
        check("error" in items[0], f"{what} was NOT refused by the app of {target.name}: {items}")
        error = take(items[0], "error", dict)
        check(
            error.get("code") == code,
            f"{what} was refused with {error.get('code')!r} instead of {code!r}",
        )
        attack = Attack(
            name=name,
            letter=letter,
            target=target,
            view=describe(envelope),
            done=done,
            error=take(error, "type", str),
            code=code,
            explanation=take(error, "message", str),
        )
        self.attacks_refused.append(Foiled(name, target, code))
        return attack

    def traffic(self) -> tuple[Traffic, ...]:
        """Count what was sent and read in each of the six directions."""
        sent = Counter(map(_way, self.letters))
        read = Counter(map(_way, self.read))
        return tuple(
            Traffic(one, other, sent[one.user, other.user], read[one.user, other.user])
            for one, other in itertools.permutations(PEOPLE, 2)
        )

    def receive(self, person: Person) -> list[dict[str, Any]]:
        """Let somebody fetch; return what their app shows."""
        items = take(self.stage.ask(person, "receive"), "items", list)
        check(all(isinstance(item, dict) for item in items), f"no messages: {items}")
        return items

    def _search(self, reader: Person) -> None:
        texts = [letter.text for letter in self.letters]
        texts += [letter.text for letter in self.group_letters]
        found = self.search.look(self.back_end.read_files(), texts, reader.address)
        check(not found, f"the relay's files hold text: {found}")

    def _find(
        self, number: int, message_id: str, sender: Person, device: Person
    ) -> tuple[EnvelopeView, bytes]:
        """Find a letter, or a copy of one, where it waits."""
        for envelope in self.back_end.waiting(device):
            view = describe(envelope)
            if view.message_id == message_id:
                check(
                    (view.sender, view.recipient) == (sender.address, device.address),
                    f"message {number} waits under other addresses than it was sent with",
                )
                return view, envelope
        raise DemoFailed(f"message {number} did not arrive at the relay for {device.name}")


def _way(letter: Letter) -> tuple[str, str]:
    return letter.sender.user, letter.recipient.user


def _pieces(text: str) -> Iterator[bytes]:
    """Yield pieces of a text that are long enough to be found by no accident."""
    encoded = text.encode()
    for start in range(0, max(len(encoded) - _PIECE_BYTES, 0) + 1, _PIECE_BYTES // 2):
        yield encoded[start : start + _PIECE_BYTES]
