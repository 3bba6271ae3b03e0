# SPDX-License-Identifier: Apache-2.0
"""Clients, and a back end that does to them whatever it likes, in any order of events.

People send, try again, receive, confirm, restart, delete and install the app, decide about keys,
set their clocks, use two clients of one store, and put stores back to older states; actions are
interrupted at any call, by an exception or by another client. The back end loses, damages, repeats,
renumbers, refuses, goes back to backups, and hands out wrong keys, counts and epochs. In the end it
is honest, everybody receives, and people decide about keys. Then:
- each message that `send` returned or promised was shown once, or its sender holds a
  `not_delivered` for it, or the back end had taken it and lost it, or all that was known of it was
  in the lost part of a store; and before people decide, an `identity_pending`;
- a store of which more was seen sends nothing and hands nothing over before it is opened as
  restored; then what waited in it waits, or is named; a device that was lied to goes on after a
  restart;
- nothing waits any more;
- no installation was shown a message twice, no item came again after it was confirmed, and all
  others did after a restart, flagged;
- no two messages have left under one number of one ratchet key.

Not counted as lost is what was damaged and asked for again, unless its reader was told that nobody
could be asked (`FailedMessage.retrying`).
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from e2ecross import Address, Envelope, Message, Policy, Text
from e2ecross.device import copies, waiting
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    E2ECrossError,
    InvalidArgument,
    MailboxFull,
    NotRegistered,
    RemoteError,
    RestoredStore,
    StoreBusy,
    StoreCorrupted,
    UnknownRecipient,
)
from e2ecross.state.inbox import InboxItem
from e2ecross.stores import MemoryStore, SQLiteStore, Store
from e2ecross.wire.content import PayloadContent
from tests.properties.backend_rules import PEOPLE, TOO_HIGH, BackendRules, index, who
from tests.properties.epochs import are_covered, highest
from tests.properties.hostile_backend import REFUSALS, LyingBackend, Points
from tests.properties.installations import MAX_RESTORES, Installation, Interrupted
from tests.properties.mails import Account, Mail
from tests.support.devices import FakeClock
from tests.support.store_kinds import STRIPES
from tests.support.witness import Keychain

HOUR_MS = 60 * 60 * 1000
FEW = Policy(one_time_prekeys_low=1, one_time_prekeys_target=2)
POLICIES = {
    "asks": FEW,
    "accepts": replace(FEW, accept_changed_identity=True),
    "refuses": replace(FEW, refuse_changed_identity=True),
}
"""What is done when a contact has another identity key."""
MAX_INSTALLATIONS = 3  # of each user
MAX_ROUNDS = 60  # of an hour: who cannot be read by another is written to anew after a day
MEANWHILE = ("send", "get", "heal", "wait", "talk")
"""What is done before a store is put back."""
REFUSED = (UnknownRecipient, BackendRefused, MailboxFull, RemoteError)
"""What says that a message was not sent, when it does not wait."""
T = TypeVar("T")


class Outcome(NamedTuple, Generic[T]):
    """What became of an action."""

    result: T | None
    error: BaseException | None


@dataclass(eq=False)
class World:
    """All that there is, and what went in envelopes."""

    directory: Path | None
    points: Points = field(default_factory=Points)
    contents: dict[bytes, PayloadContent] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)

    def open_store(self, name: str, once_more: bool) -> Store:
        """The store of an installation, as it finds it when it starts; or as another process."""
        if self.directory is None:
            return self.stores.setdefault(name, MemoryStore())
        if not once_more:
            for opened in (name, name + " once more"):
                if opened in self.stores:
                    self.stores.pop(opened).close()
        key = name + " once more" * once_more
        self.stores[key] = SQLiteStore(self.directory / f"{name}.db")
        return self.stores[key]


class ClientMachine(BackendRules):
    """Clients with stores in memory."""

    on_disk: ClassVar[bool] = False

    def __init__(self) -> None:
        self.world = World(Path(tempfile.mkdtemp()) if self.on_disk else None)
        super().__init__(LyingBackend(self.world.points, self.world.contents))
        self.installations: list[Installation] = []
        self.people: dict[Address, Installation] = {}
        self.mails: dict[bytes, Mail] = {}
        self.is_ready = False
        self.genuine: Callable[..., Envelope] = vars(copies)["encrypt_content"]
        for module in (copies, waiting):
            vars(module)["encrypt_content"] = self._spy_content

    def _spy_content(
        self, context: object, tx: object, address: Address, content: PayloadContent, *more: object
    ) -> Envelope:
        envelope = self.genuine(context, tx, address, content, *more)
        self.world.contents[envelope.encode()] = content
        return envelope

    @initialize(
        policies=st.tuples(*[st.sampled_from(sorted(POLICIES))] * len(PEOPLE)),
        witnessed=st.sets(who),
    )
    def set_up(self, policies: tuple[str, ...], witnessed: set[Address]) -> None:
        """Everybody installs the app; some accept changed keys without asking, or refuse them."""
        for address, policy in zip(PEOPLE, policies, strict=True):
            is_witnessed = address in witnessed
            self._install(address, POLICIES[policy], FakeClock(), is_witnessed=is_witnessed)
        self.is_ready = True

    def _install(
        self, address: Address, policy: Policy, clock: FakeClock, *, is_witnessed: bool
    ) -> None:
        name = f"{address.user}-{len(self.installations)}"
        witness = Keychain() if is_witnessed and not STRIPES else None
        me = Installation(
            *(address, name, policy, clock, witness, self.backend),
            *(partial(self.world.open_store, name), self.world.points, self._note_message),
        )
        self.installations.append(me)
        self.backend.note_new_prekeys(address)
        self.people[address] = me
        self._register(me)

    def _register(self, me: Installation) -> None:
        """Register; who finds the address taken shows that it is theirs."""
        for _ in range(2):
            outcome = self._do(me, me.client.register, is_quiet=True)
            if not isinstance(outcome.error, BackendRefused):
                return
            self.backend.release(me.address)

    def _do(
        self,
        me: Installation,
        action: Callable[[], T],
        *,
        releases: Callable[[T], Iterable[int]] | None = None,
        is_quiet: bool = False,
    ) -> Outcome[T]:
        """Do something that may go wrong, but in no way that it must not.

        Args:
            me: who does it.
            action: what.
            releases: tells of which stripes it has sent something or handed it over when it has
                gone well.
            is_quiet: whether nothing comes between.
        """
        sight, before = me.hand.sight, me.epochs
        known = highest(sight.sure, sight.told)
        heard, self.backend.told = self.backend.told, []
        try:
            with nullcontext() if is_quiet else self.world.points.running():
                outcome = Outcome[T](action(), None)
        except Interrupted as error:
            outcome = Outcome[T](None, error)
        except E2ECrossError as error:
            outcome = Outcome[T](None, error)
        assert not isinstance(outcome.error, StoreCorrupted)
        if releases is not None and outcome.error is None:
            for stripe in releases(outcome.result):  # type: ignore[arg-type]
                epoch = before.get(stripe, 0)
                assert known.get(stripe, 0) <= epoch, "what was put back released something"
                sight.sure = highest(sight.sure, {stripe: epoch})
        if not me.record.adopts_epoch:
            sight.told = highest(sight.told, *self.backend.told)
        self.backend.told = heard
        sight.seen = highest(sight.seen, before, me.epochs)
        if isinstance(outcome.error, RestoredStore):
            assert not are_covered(highest(sight.seen, sight.told), before), outcome.error
        if isinstance(outcome.error, NotRegistered):
            self._register(me)
        return outcome

    # --- What people do ---------------------------------------------------------------------

    @rule(sender=who, recipient=who, count=st.integers(1, 3))
    def send(self, sender: Address, recipient: Address, count: int) -> None:
        """Send some texts."""
        if recipient == sender:
            recipient = PEOPLE[(PEOPLE.index(sender) + 1) % len(PEOPLE)]
        for _ in range(count):
            number = len(self.mails) + 1
            me, now = self.people[sender], self.backend.tick()
            mail = Mail(me, recipient, number.to_bytes(16), now, [str(number)])
            self.mails[mail.message_id] = mail
            self._send(mail, mail.texts[0])

    def _send(self, mail: Mail, text: str) -> None:
        me = mail.sender
        sent, error = self._do(
            me,
            lambda: me.client.send(mail.recipient, Text(text), message_id=mail.message_id),
            releases=lambda _: [me.stripe_of(mail.recipient)],
        )
        if isinstance(error, InvalidArgument):
            if len(mail.texts) == 1 and text in mail.texts:  # it is told that it was given up
                mail.given_up.append(self.backend.tick())
            return
        if text not in mail.texts:
            mail.texts.append(text)
            is_new = mail.told or not mail.promises or mail.is_forgotten
            if sent is not None and not is_new:
                mail.given_up.append(self.backend.tick())
        waits = me.is_owed(mail.message_id)
        if sent is not None or waits:
            mail.told = False
            mail.promises.append(self.backend.tick())
        elif isinstance(error, REFUSED):
            mail.told = True
        assert not (sent is not None and waits), "a message was sent and still waits"

    @precondition(lambda self: self.mails)
    @rule(which=index, latest=st.booleans(), other=st.sampled_from((False, False, True)))
    def send_again(self, which: int, latest: bool, other: bool) -> None:
        """Try a message again, or another one under its id."""
        mails = [mail for mail in self.mails.values() if not mail.sender.is_gone]
        if mails:
            mail = mails[-1] if latest else mails[which % len(mails)]
            self._send(mail, mail.texts[-1] + " other" if other else mail.texts[-1])

    @rule(me=who, limit=st.sampled_from((1, 3, 100)), confirmed=st.sampled_from((0, 1, 9, 9)))
    def receive(self, me: Address, limit: int, confirmed: int) -> None:
        """Receive, and confirm none, one or all."""
        person = self.people[me]
        outcome: Outcome[list[InboxItem]] = self._do(
            person, partial(person.receive, limit), releases=person.stripes_of_items
        )
        items = outcome.result
        if items and confirmed:
            self._do(person, partial(person.confirm, items[:confirmed]))

    @rule(me=who)
    def confirm(self, me: Address) -> None:
        """Confirm what was left."""
        person = self.people[me]
        self._do(person, lambda: person.confirm(person.unconfirmed()))

    @rule(first=who, second=who)
    def talk(self, first: Address, second: Address) -> None:
        """Write, and receive, and answer."""
        if first != second:
            self.send(first, second, 1)
            self.receive(second, 100, 9)
            self.send(second, first, 1)
            self.receive(first, 100, 9)

    @rule(first=who, second=who, place=index)
    def heal(self, first: Address, second: Address, place: int) -> None:
        """Write what is damaged on its way, and send it again."""
        if first != second:
            self.send(first, second, 1)
            box = self.backend.mailbox(second)
            if box:
                self.backend.damage(second, len(box) - 1, place)
            for me in (second, first, second):
                self.receive(me, 100, 9)

    @rule(first=who, second=who, errors=st.lists(st.sampled_from(REFUSALS), max_size=2))
    def send_later(self, first: Address, second: Address, errors: list[type[BackendError]]) -> None:
        """Write while the other's mailbox is out of reach; later it may be refused."""
        if first != second:
            self.talk(second, first)
            self.backend.down_for |= {second}
            self.send(first, second, 2)
            self.backend.down_for -= {second}
            self.refuse(second, errors)
            self.maintain(first)

    @rule(first=who, second=who, late=st.booleans(), lost=st.integers(0, 2))
    def have_accident(self, first: Address, second: Address, late: bool, lost: int) -> None:
        """Write, while the back end goes back: it gives the same numbers again."""
        if first != second:
            self.back_up()
            self.send(first, second, lost)
            if late:
                self.backend.lose_answer("acknowledge")
            self.receive(second, 100, 9)
            self.put_back(len(self.snapshots) - 1)
            self.send(first, second, 1)
            self.receive(second, 100, 9)

    @rule(me=who)
    def maintain(self, me: Address) -> None:
        """Send what waits, refill prekeys."""
        person = self.people[me]
        self._do(person, person.client.maintain)

    @rule(me=who)
    def restart(self, me: Address) -> None:
        """End the app and start it again."""
        self._restart(self.people[me])

    def _restart(self, person: Installation) -> None:
        _, error = self._do(person, person.restart)
        if error is not None:
            self.world.points.disarm()
            person.restart()

    @rule(me=who, keep_mail=st.booleans())
    def reinstall(self, me: Address, keep_mail: bool) -> None:
        """Delete the app and install it again: a new identity under the same address."""
        old = self.people[me]
        if sum(each.address == me for each in self.installations) < MAX_INSTALLATIONS:
            self.world.points.disarm()
            old.is_gone = True
            old.store.close()
            self.backend.release(me, keep_mail=keep_mail)
            self._install(me, old.policy, old.clock, is_witnessed=old.witness is not None)

    @rule(me=who, same_device=st.booleans())
    def switch(self, me: Address, same_device: bool) -> None:
        """Go on with another client of the same store."""
        self.people[me].switch(same_device=same_device)

    @rule(
        me=who,
        calls=st.integers(0, 30),
        what=st.sampled_from(("receive", "receive", "send", "maintain", "confirm")),
        other=who,
    )
    def come_between(self, me: Address, calls: int, what: str, other: Address) -> None:
        """Let the other client of a store do something within the next action of anybody."""
        person = self.people[me]
        if len(person.hands) == 1:
            person.switch(same_device=False)

        def come() -> None:
            with person.in_the_other_hand():
                if what == "receive":
                    self.receive(me, 100, 1)
                elif what == "send":
                    self.send(me, other, 1)
                elif what == "maintain":
                    self.maintain(me)
                else:
                    self.confirm(me)

        if len(person.hands) > 1:
            self.world.points.arm(calls, come)

    @rule(me=who)
    def copy_store(self, me: Address) -> None:
        """Copy a store, with the platform's backup."""
        person = self.people[me]
        if person.record.backend_token:
            person.back_up()

    @rule(me=who, which=index, latest=st.booleans(), at_once=st.booleans())
    def put_store_back(self, me: Address, which: int, latest: bool, at_once: bool) -> None:
        """Put a store back; at once it is opened as restored, or the app runs on."""
        person = self.people[me]
        if person.copies and len(person.losses) < MAX_RESTORES:
            copy = person.copies[-1 if latest else which % len(person.copies)]
            epochs = person.epochs
            person.put_back(copy)
            # Who has not seen that it had come further cannot tell: then the user has to say so.
            is_seen = all(are_covered(epochs, hand.sight.sure) for hand in person.hands)
            # Of many stripes those go on that nobody has used since.
            if at_once or STRIPES or not is_seen or copy.epochs == epochs:
                self._restart(person)

    @rule(
        first=who,
        second=who,
        meanwhile=st.lists(st.sampled_from(MEANWHILE), min_size=1, max_size=4),
        at_once=st.booleans(),
        after=st.sampled_from(("send", "receive", "stale")),
    )
    def lose_part(
        self, first: Address, second: Address, meanwhile: list[str], at_once: bool, after: str
    ) -> None:
        """Put a store back to what it was before some things were done."""
        if first != second:
            self.talk(first, second)
            self.copy_store(first)
            for what in meanwhile:
                self._go_on(first, second, what)
            self.put_store_back(first, 0, latest=True, at_once=at_once)
            if after == "send":
                self.send(first, second, 1)
            else:
                self.send(second, first, 1)
                self.receive(first, 1, 0)
            if after == "stale":
                self.confirm_stale(first)

    def _go_on(self, me: Address, other: Address, what: str) -> None:
        if what == "send":
            self.send(me, other, 1)
        elif what == "get":
            self.send(other, me, 1)
            self.receive(me, 100, 0)
        elif what == "heal":
            self.heal(other, me, 5)
        elif what == "wait":
            self.backend.down_for |= {other}
            self.send(me, other, 1)
            self.backend.down_for -= {other}
        else:
            self.talk(other, me)

    @rule(
        first=who,
        second=who,
        by=st.sampled_from(TOO_HIGH),
        what=st.lists(st.sampled_from(MEANWHILE), max_size=3),
    )
    def be_lied_to(self, first: Address, second: Address, by: int, what: list[str]) -> None:
        """Write and receive, while the back end tells that more was seen; then start again."""
        if first != second:
            self.tell_too_high_epochs(first, by, is_true=False)
            for each in what:
                self._go_on(first, second, each)
            self.tell_too_high_epochs(first, by, is_true=True)
            self.restart(first)
            self._go_on(first, second, "talk")

    @rule(me=who)
    def confirm_stale(self, me: Address) -> None:
        """Confirm what was handed over before a store was put back."""
        person = self.people[me]
        if person.stale:
            self._do(person, person.confirm_stale)

    @rule(me=who, which=index, accept=st.booleans())
    def decide(self, me: Address, which: int, accept: bool) -> None:
        """Accept or reject a key, rightly or wrongly."""
        person = self.people[me]
        open_questions = list(person.decisions(PEOPLE))
        if open_questions:
            contact, key = open_questions[which % len(open_questions)]
            self._do(person, partial(person.decide, contact, key, accept=accept))

    @rule(me=who, hours=st.sampled_from((-200, -30, -2, 2, 30, 200)))
    def set_clock(self, me: Address, hours: int) -> None:
        """Time passes, or a clock is set back."""
        clock = self.people[me].clock
        if abs(clock.now_ms + hours * HOUR_MS - FakeClock().now_ms) < 800 * HOUR_MS:
            clock.advance(hours * HOUR_MS)

    @rule(calls=st.integers(0, 60), kind=st.sampled_from(("any", "any", "store")))
    def interrupt(self, calls: int, kind: str) -> None:
        """Let the next action end at one of its calls."""
        error = StoreBusy("too long") if kind == "store" else Interrupted()
        self.world.points.arm(calls, error, only_store=kind == "store")

    # --- What must hold in the end ----------------------------------------------------------

    def teardown(self) -> None:
        """Be honest, let everybody receive and decide, and look at what became of each message."""
        try:
            if self.is_ready:
                self._settle()
        finally:
            for module in (copies, waiting):
                vars(module)["encrypt_content"] = self.genuine
            for store in self.world.stores.values():
                store.close()
            if self.world.directory is not None:
                shutil.rmtree(self.world.directory)

    def _settle(self) -> None:
        self.world.points.disarm()
        self.backend.be_honest()
        for me in self.people.values():
            if me.put_back_to is not None or not are_covered(me.hand.sight.told, me.epochs):
                me.restart()
            self._register(me)
            if not are_covered(self.backend.known_epochs(me.address), me.epochs):
                # It was not told how far it had come when it was opened as restored.
                assert me.losses
                me.back_up()
                me.put_back(me.copies[-1])
                me.restart()
                self._register(me)
        self._come_to_rest()
        self._check(decided=False)
        for _ in range(MAX_ROUNDS):
            if not self._decide_all():
                break
            self._come_to_rest()
        self._check(decided=True)
        for me in self.people.values():
            assert me.client.pending() == []
            me.require_nothing_owed()
            me.restart()
            me.confirm(me.receive(1000))
            assert me.receive(1000) == []
            me.require_nothing_owed()

    def _come_to_rest(self) -> None:
        """Let everybody receive until nothing moves."""
        for _ in range(MAX_ROUNDS):
            before = self._state()
            for me in self.people.values():
                me.clock.advance(HOUR_MS + 1)
                while items := me.receive():
                    me.confirm(items)
                me.client.maintain()
            if before == self._state() and not any(map(self.backend.mailbox, PEOPLE)):
                return
        raise AssertionError("it never comes to rest")

    def _state(self) -> list[object]:
        return [len(self.world.contents), *(me.client.pending() for me in self.people.values())]

    def _decide_all(self) -> bool:
        """Everybody accepts the true keys of others, and no other; whether any had to be."""
        decided = False
        for me in self.people.values():
            for contact, key in list(me.decisions(PEOPLE)):
                is_true = key == self.people[contact].device.identity_key
                known = me.device.remote_identity(contact)
                if known is None:
                    assert me.losses  # in which it was
                    continue
                if not is_true or known.pending_key or known.identity_key != key:
                    decided |= me.decide(contact, key, accept=is_true)
        return decided

    def _note_message(self, me: Installation, item: Message) -> None:
        """What is read was sent, by who is said to have sent it, to who reads it."""
        mail = self.mails[item.message_id]
        assert (mail.sender.address, mail.recipient) == (item.sender, me.address)
        assert isinstance(item.content, Text)
        assert item.content.text in mail.texts
        mail.was_shown = True

    def _check(self, *, decided: bool) -> None:
        for mail in self.mails.values():
            if not mail.sender.is_gone:
                account = Account(mail, self.people[mail.recipient], self.backend)
                assert account.is_settled(decided=decided), account
                is_told = mail.message_id in mail.sender.dropped
                assert is_told or all(map(mail.sender.forgot, mail.given_up))


class ClientsOnDisk(ClientMachine):
    """Clients with stores in files."""

    on_disk = True


TestInMemory = ClientMachine.TestCase
TestOnDisk = ClientsOnDisk.TestCase
