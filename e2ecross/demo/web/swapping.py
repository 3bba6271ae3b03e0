# SPDX-License-Identifier: Apache-2.0
"""A back end that sits between two people who write to each other for the first time.

It plays each of them towards the other, with keys of its own: an identity, a list of devices and
prekeys, made with the library, as for any account. What one sends is opened, read, and encrypted
anew for the other.

Rules:
- Each of the two it plays has a relay of its own, where its keys are published and its mail waits.
- The true relay hands out those keys in the place of the true ones, to the one who is deceived.
"""

import secrets
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from e2ecross.address import Address, UserId
from e2ecross.client.client import Client
from e2ecross.demo.back_end import BackEnd
from e2ecross.demo.people import TOKO, DemoFailed, Person
from e2ecross.demo.web.cast import CITRA, phone_of
from e2ecross.demo.web.hands import Hands
from e2ecross.demo.web.handset import phone_policy
from e2ecross.demo.web.play import Play
from e2ecross.device.device import Device, context_of
from e2ecross.device.registering import read_token
from e2ecross.errors import E2ECrossError, UnknownRecipient
from e2ecross.relay import Relay
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import Message
from e2ecross.stores import MemoryStore
from e2ecross.wire.content import Text
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["Swap"]

_OPERATOR: Final = Address("operator", "between")
_LOOK_SECONDS: Final = 0.05
_MOST_READ: Final = 100


class _OwnRelay(Relay):
    """Where one who is played has an account; what it asks of others goes to the true relay.

    Args:
        folder: where its files are; made here.
        true: the true relay, with a token of its operator.
        hands: put what is sent into true mailboxes.
    """

    def __init__(self, folder: Path, true: "_TrueRelay", hands: Hands) -> None:
        folder.mkdir()
        self.file = folder / "relay.db"
        super().__init__(self.file)
        self._true = true
        self._hands = hands

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        """See `Relay`."""
        return [
            super(_OwnRelay, self).fetch_keys(requester, token, [keys])[0]
            if keys.user == requester.user_id
            else self._true.fetch_keys(keys)
            for keys in wanted
        ]

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        """See `Relay`; all goes to the other side."""
        for envelope in envelopes:
            recipient = Envelope.decode(envelope).recipient
            self._hands.put(phone_of(str(recipient)), envelope)
        return Deposited()


class _TrueRelay:
    """The relay that both believe in, as its operator asks it."""

    def __init__(self, file: Path) -> None:
        self._relay, self._token = Relay(file), secrets.token_bytes(TOKEN_BYTES)
        self._relay.register(_OPERATOR, self._token)

    def fetch_keys(self, wanted: KeysWanted) -> UserKeys | UnknownRecipient:
        """Return the true keys of somebody."""
        return self._relay.fetch_keys(_OPERATOR, self._token, [wanted])[0]

    def close(self) -> None:
        """Close it."""
        self._relay.close()


class _Played:
    """Somebody whom the back end plays.

    Args:
        person: who is played.
        folder: where its files are; made here.
        true: the true relay.
        hands: of the back end.
    """

    def __init__(self, person: Person, folder: Path, true: _TrueRelay, hands: Hands) -> None:
        self.person = person
        self._relay = _OwnRelay(folder, true, hands)
        self._mailbox = BackEnd(self._relay.file, folder)
        device = Device.create(Address.parse(person.address), MemoryStore(), policy=phone_policy())
        self._client, self._context = Client(device, self._relay), context_of(device)
        self._client.register()

    def hand_out(self, wanted: KeysWanted) -> UserKeys | UnknownRecipient:
        """Return its keys, as those of whom it plays."""
        address, token = self._context.address, read_token(self._context).value
        return self._relay.fetch_keys(address, token, [wanted])[0]

    def take(self, envelopes: Sequence[bytes]) -> list[InboxItem]:
        """Open what was sent to whom it plays, and do what is due."""
        for envelope in envelopes:
            self._mailbox.put_at(self.person.address, envelope)
        items = self._client.receive()
        self._client.confirm(items)
        return items

    def pass_on(self, message: Message[Any], to: Person) -> None:
        """Say the same in the name of whom it plays."""
        if message.content is not None and message.forwardable:
            self._client.send(to.user, message.content)

    def accept(self, user: UserId) -> None:
        """Let somebody have receipts, as the true one would."""
        self._client.accept(user)

    def close(self) -> None:
        """Close its relay."""
        self._relay.close()


class Swap:
    """The back end between Citra and the shop.

    Args:
        play: what it is in.
        hands: of the back end.
    """

    def __init__(self, play: Play, hands: Hands) -> None:
        self._play = play
        self._hands = hands
        self._true = _TrueRelay(play.relay.file)
        folder = play.folder
        self._as_shop = _Played(TOKO, folder / "as-shop", self._true, hands)
        self._as_citra = _Played(CITRA, folder / "as-citra", self._true, hands)
        self._read: list[str] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sit_between, daemon=True)

    def start(self) -> None:
        """Hand out its own keys from now on, and read what passes."""
        self._play.relay.key_source = self._hand_out
        self._play.relay.hold(self._is_for_us)
        self._thread.start()

    def has_read(self, text: str) -> bool:
        """Tell whether it has read a line."""
        return text in self._read

    def close(self) -> None:
        """Sit there no more."""
        self._is_over.set()
        self._thread.join()
        for each in (self._as_shop, self._as_citra, self._true):
            each.close()

    def _hand_out(
        self, requester: UserId, wanted: KeysWanted
    ) -> UserKeys | UnknownRecipient | None:
        pair = (str(requester), str(wanted.user))
        if pair == (CITRA.user, TOKO.user):
            return self._as_shop.hand_out(wanted)
        if pair == (TOKO.user, CITRA.user):
            return self._as_citra.hand_out(wanted)
        return None

    def _is_for_us(self, address: Address, envelope: bytes) -> bool:
        """Whether it is what one of the two has sent to the other, and not what we have put."""
        pair = (str(Envelope.decode(envelope).sender), str(address))
        ways = ((CITRA.address, TOKO.address), (TOKO.address, CITRA.address))
        return pair in ways and not self._play.relay.was_put_by_hand(envelope)

    def _sit_between(self) -> None:
        while not self._is_over.is_set():
            for played, other in (
                (self._as_shop, self._as_citra),
                (self._as_citra, self._as_shop),
            ):
                try:
                    self._pass_on(played, other)
                except (E2ECrossError, DemoFailed, sqlite3.Error):
                    continue  # what could not be done now is looked for again
            self._is_over.wait(_LOOK_SECONDS)

    def _pass_on(self, played: _Played, other: _Played) -> None:
        """Open what was sent to one of the two, read it, and say it to them in the other's name."""
        address = Address.parse(played.person.address)
        waiting = self._hands.file.waiting(played.person)
        taken = [envelope for envelope in waiting if self._is_for_us(address, envelope)]
        for envelope in taken:
            self._hands.file.withhold(played.person, envelope)
        for item in played.take(taken):
            if not isinstance(item, Message):
                continue
            if item.request:
                played.accept(item.sender.user_id)
            if isinstance(item.content, Text):
                self._note(item.content.text)
            other.pass_on(item, played.person)

    def _note(self, text: str) -> None:
        self._read = [*self._read[-_MOST_READ:], text]
        self._play.journal.add({"type": "read_by_back_end", "text": text})
