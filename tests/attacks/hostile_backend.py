# SPDX-License-Identifier: Apache-2.0
"""A back end that does what it is asked to, until the test tells it to lie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from e2ecross import (
    Address,
    Client,
    Envelope,
    FailedMessage,
    Message,
    Notice,
    Policy,
    PreKeyBundle,
    Text,
)
from e2ecross.errors import UnknownRecipient
from e2ecross.state.changes import CHANGES_ROW
from e2ecross.state.inbox import InboxItem
from e2ecross.stores import Store, Table
from e2ecross.wire.exchange import KeysWanted, UserKeys, Waiting
from e2ecross.wire.session_records import StoredSession
from e2ecross.wire.stripe_record import StripeRecord
from tests.attacks.support import Person, Rows, person
from tests.support.devices import BackendSimulator
from tests.support.values import with_fields

__all__ = ["FEW_PREKEYS", "NEVER_ASKS", "HostileBackend", "Party", "party", "results"]

FEW_PREKEYS = Policy(one_time_prekeys_low=2, one_time_prekeys_target=5)
NEVER_ASKS = replace(FEW_PREKEYS, retry_requests=0)
"""Asks for nothing again: what is refused must leave nothing at all but its failure."""

Mail = list[tuple[int, bytes]]


class HostileBackend(BackendSimulator):
    """Hands out the bundles and the mail that it is told to, and sees all that is deposited."""

    def __init__(self) -> None:
        super().__init__()
        self.bundle_lie: Callable[[PreKeyBundle], PreKeyBundle] | None = None
        self.mail_lie: Callable[[int], Mail] | None = None
        self.hides_lists = False

    def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
        """Hand out what the directory has, or what the lie makes of it."""
        bundle = super().fetch_bundle(requester, token, address)
        return bundle if self.bundle_lie is None else self.bundle_lie(bundle)

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        """Hand out keys, with lists of devices or without."""
        answers = super().fetch_keys(requester, token, wanted)
        return [
            UserKeys(b"", keys.bundles) if self.hides_lists and isinstance(keys, UserKeys) else keys
            for keys in answers
        ]

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        """Hand out what waits, or whatever the lie says waits after that number."""
        if self.mail_lie is not None:
            return [Waiting(*item) for item in self.mail_lie(after)]
        return super().fetch(address, token, limit, after)

    def plant(self, address: Address, envelopes: Sequence[Envelope | bytes]) -> None:
        """Put envelopes into a mailbox, under new numbers."""
        for envelope in envelopes:
            self.inject(address, envelope if isinstance(envelope, bytes) else envelope.encode())


def without_count(row: tuple[str, bytes, bytes, bytes]) -> tuple[str, bytes, bytes, bytes]:
    """A row as it would be if nothing had ever waited."""
    if row[0] != Table.STRIPE:
        return row
    return (*row[:3], StripeRecord.decode(row[3])._replace(next_queue_number=1).encode())


@dataclass
class Party:
    """A person with a client at a back end."""

    person: Person
    client: Client
    backend: HostileBackend

    @property
    def address(self) -> Address:
        """Where to reach them."""
        return self.person.address

    def send(self, to: "Party", text: str) -> Envelope:
        """Send through the back end; returns what it has seen."""
        self.client.send(to.address, Text(text))
        self.client.maintain()  # what was sent is forgotten with the next commit: here
        return Envelope.decode(self.backend.deposits[-1])

    def receive(self) -> list[str]:
        """Receive and confirm everything: texts, and codes of errors."""
        items = self.client.receive(1000)
        self.client.confirm(items)
        return results(items)

    def rest(self) -> Rows:
        """The store without the inbox, where failures are noted, and how many ever waited."""
        return tuple(without_count(row) for row in self.person.dump() if row[0] != Table.INBOX)

    def assert_only_asked(self, before: Rows) -> None:
        """Beside the `rest` before there is only what asking for messages again writes.

        No key is used up and none is trusted. There may be new sessions, and a list that was
        renewed; of the old sessions at most the sending chain has moved, because a request went out
        in it.
        """
        aside = {
            Table.ACCOUNTS,
            Table.RETRIES,
            Table.SENT,
            Table.SESSION_RECORDS,
            Table.SESSIONS,
            Table.SPQR,
        }
        # A session was started; the list.
        asked = {(Table.STRIPE.value, b""), (Table.DEVICE.value, CHANGES_ROW)}
        now = self.rest()
        for rows in (before, now):
            assert not [row for row in rows if row[0] == Table.OUTBOX]
        assert [row for row in now if row[0] not in aside and (row[0], row[2]) not in asked] == [
            row for row in before if row[0] not in aside and (row[0], row[2]) not in asked
        ]
        sessions, sessions_now = _sessions(before), _sessions(now)
        for place, session in sessions.items():
            assert sessions_now[place].sending_message_number >= session.sending_message_number
            assert _received(sessions_now[place]) == _received(session)

    def restart(self) -> None:
        """End the app and start it again."""
        self.person.reload()
        self.client = Client(self.person.device, self.backend)


def _sessions(rows: Rows) -> dict[tuple[bytes, bytes], StoredSession]:
    return {row[1:3]: StoredSession.decode(row[3]) for row in rows if row[0] == Table.SESSIONS}


def _received(session: StoredSession) -> bytes:
    """All of a session but the place in its sending chain, and what it waits for."""
    return with_fields(
        session, sending_chain_key=bytes(32), sending_message_number=0, pending=None
    ).encode()


def results(items: Sequence[InboxItem]) -> list[str]:
    """What was received, each in one word: the text, the error's code, or "notice" and kind."""
    words = []
    for item in items:
        if isinstance(item, FailedMessage):
            words.append(item.error.code)
        elif isinstance(item, Notice):
            words.append(f"notice {item.kind}")
        else:
            assert isinstance(item, Message)
            assert isinstance(item.content, Text)
            words.append(item.content.text)
    return words


def party(
    address: Address,
    backend: HostileBackend,
    store: Store | None = None,
    *,
    policy: Policy = FEW_PREKEYS,
    installation: str = "",
) -> Party:
    """Install the app, and register at the back end."""
    somebody = person(address, store=store, policy=policy, one_time=0, installation=installation)
    client = Client(somebody.device, backend)
    client.register()
    return Party(somebody, client, backend)
