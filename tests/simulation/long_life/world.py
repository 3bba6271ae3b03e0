# SPDX-License-Identifier: Apache-2.0
"""What happens in a long life, by a seed: days of writing, absences, losses and new devices."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from e2ecross import (
    Address,
    Delete,
    Edit,
    Expiry,
    Group,
    GroupId,
    Media,
    Message,
    Policy,
    Reaction,
    Role,
    Sent,
    Text,
)
from e2ecross.address import UserId
from e2ecross.errors import (
    BackendError,
    GroupRefused,
    MailboxFull,
    NotInGroup,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.relay import Relay
from e2ecross.relay.limits import RelayLimits
from e2ecross.wire.content import Content
from tests.simulation.long_life.household import Household
from tests.simulation.long_life.interrupting import Interrupt, Interrupts
from tests.simulation.long_life.ledger import KEPT_MS, Ledger
from tests.simulation.long_life.seat import Seat, Surroundings
from tests.support.devices import DAY_MS, EVERYTHING, FakeClock

__all__ = ["LIMITS", "World", "days_of"]

LIMITS: Final = RelayLimits(remembered_messages=2_000)
"""As by default, but for one bound, which this many messages would not reach."""

_HOUR_MS: Final = 60 * 60 * 1000
_APPS: Final = ("whatsapp", "instagram", "messenger")
_IN_GROUP: Final = 0.03
"""The share of the messages that goes into the group."""
_SESSIONS: Final = 5
"""Conversations in a day."""
_TALKATIVE: Final = 4
"""Other members who write into the group."""
_FACE: Final = "\N{THUMBS UP SIGN}"


class World:
    """Two accounts, a group, a relay, and time.

    Attributes:
        counts: what has happened.
        clock: the time of all.
        households: the two accounts with several devices.
        members: devices of the others in the group, the founder first.
        sent: messages so far.
    """

    def __init__(self, seed: int, folder: Path, members: int, interrupts: float = 0) -> None:
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.clock = FakeClock()
        self.folder = folder
        self.relay = Relay(
            folder / "relay.db",
            authorise=lambda address, taken, credential: True,
            blob_dir=folder / "blobs",
            limits=LIMITS,
            clock=self.clock,
        )
        self.ledger = Ledger(self.counts)
        self.interrupts = Interrupts(random.Random(f"{seed} moments"), interrupts, self.counts)
        self.around = Surroundings(
            *(seed, folder, self.clock, self.relay, self.ledger, self.counts, self.random),
            self.interrupts,
        )
        self.sent = self.day = 0
        self.households = [
            Household(self.around, Address("whatsapp", "ana"), 2),
            Household(self.around, Address("instagram", "budi"), 2),
        ]
        for household in self.households:
            household.link()
            household.link()
        self.members = [self._member(number) for number in range(members - 2)]
        self._photo = folder / "photo.jpg"
        self._photo.write_bytes(self.random.randbytes(5_000))
        self.group_id = self._found()

    def _member(self, number: int) -> Seat:
        policy = Policy(capabilities=EVERYTHING, accept_changed_identity=number % 2 == 0)
        address = Address(_APPS[number % 3], f"member{number}")
        seat = Seat(self.around, address, policy, in_memory=True)
        seat.create()
        return seat

    def close(self) -> None:
        """Close all files."""
        for seat in self.seats:
            seat.store.close()
        self.relay.close()

    @property
    def seats(self) -> list[Seat]:
        """All devices that there are."""
        own = [seat for household in self.households for seat in household.seats]
        return [*own, *self.members]

    def at(self, address: Address) -> Seat | None:
        """The device that has an address now."""
        return next((seat for seat in self.seats if seat.address == address), None)

    # --- The group ---

    def _found(self) -> GroupId:
        founder = self.members[0]
        others = [str(seat.user) for seat in self.members[1:]]
        users = [*others, *(str(each.user) for each in self.households)]
        group = founder.client.create_group("Long life", users)
        for seat in self.seats:
            seat.receive()
        group.set_role(str(self.members[1].user), Role.OWNER)
        return group.id

    def _group(self, seat: Seat) -> Group:
        return seat.client.group(self.group_id)

    def _change_group(self) -> None:
        """The founder renames it, or takes somebody out, who comes back some days later."""
        founder = self.members[0]
        kind, group = self.random.random(), self._group(founder)
        if kind < 0.3:
            founder.call("change of a group", lambda: group.rename(f"Long life, day {self.day}"))
            return
        household = self.random.choice(self.households)
        others = [seat.user for seat in self.members[2:]]
        user = household.user if kind < 0.5 else self.random.choice(others or [household.user])

        def remove() -> None:
            if str(user) in {str(member.user) for member in group.members}:
                group.remove(str(user))

        if str(user) in {str(member.user) for member in group.members}:
            founder.call("change of a group", remove)
            self._note_out(user)
            self.counts["taken out of the group"] += 1

    def _note_out(self, user: object) -> None:
        for seat in self.seats:
            if seat.user == user:
                seat.out_of_group_ms.append(self.clock.now_ms)

    def _complete_group(self) -> None:
        """The founder adds whoever should be in it and is not, or is with another key."""
        founder = self.members[0]
        group = self._group(founder)

        def there() -> set[str]:
            return {str(member.user) for member in group.members if not member.key_differs}

        def add(user: UserId) -> None:
            if str(user) not in there():
                group.add(str(user))

        users = [seat.user for seat in self.members[1:]]
        for user in [*users, *(each.user for each in self.households)]:
            if str(user) in there():
                continue
            try:
                founder.call("change of a group", partial(add, user))
                self.counts["added to the group"] += 1
            except UntrustedIdentity as error:
                founder.client.device.accept_identity(error.address, error.identity_key)
            self._note_out(user)  # until then, and as long as others do not know

    # --- Writing ---

    def _content(self, seat: Seat) -> tuple[Content, dict[str, object]]:
        kind = self.random.random()
        text = f"{self.sent} " + "x" * int(self.random.expovariate(1 / 60))
        extra: dict[str, object] = {}
        others = [each for each in seat.refs if not each.own_copy]
        own = [each for each in seat.refs if each.own_copy]
        if kind < 0.06 and others:
            target = self.random.choice(others).ref
            assert target is not None
            content: Content = Reaction(target, self.sent + 1, _FACE)
        elif kind < 0.10 and own:
            target = self.random.choice(own).ref
            assert target is not None
            content = Edit(target, self.sent + 1, text) if kind < 0.08 else Delete(target)
        elif kind < 0.105:
            upload = seat.client.upload(self._photo, media_type="image/jpeg")
            seat.call("upload", upload.run)
            content = Media(upload.attachment, text)
            if kind < 0.1025:
                extra = {"view_once": True}
            self.counts["files"] += 1
        else:
            content = Text(text)
            if kind < 0.13:
                extra = {"expiry": Expiry(self.random.choice((3600, 86_400, 864_000)))}
        return content, extra

    def write(self, seat: Seat, household: Household) -> None:
        """Send one message to an account."""
        content, extra = self._content(seat)
        own = {each.user: each for each in self.households}[seat.user]
        readers = frozenset((seat.user, household.user))
        self.sent += 1
        seat.backend.share = 0.01
        send = partial(seat.client.send, str(household.user), content, **extra)  # type: ignore[arg-type]
        if isinstance(content, Text):  # by its text it is known again
            send = partial(self.interrupts.try_once, "send", send)
        sent: Sent | None
        try:
            sent = self._with_keys(seat, send)
        except Interrupt:
            sent = None
        except (MailboxFull, UnknownRecipient):
            self.counts["not sent"] += 1
            return
        except BackendError:
            self.counts["the back end was not reached"] += 1
            self._promise_waiting(seat, readers)
            return
        finally:
            seat.backend.share = 0.0
        if sent is None:
            assert isinstance(content, Text)
            self.ledger.allow(content.text, seat, str(seat.address), readers, self.clock.now_ms)
            self._promise_waiting(seat, readers)
            return
        self._promise(seat, sent, readers)
        live = {each.address for each in (*household.seats, *own.seats)} - {seat.address}
        missing = live - {each.address for each in sent.deliveries}
        if missing and not sent.plan.plain:
            self._check_missing(seat, missing)

    def _check_missing(self, seat: Seat, missing: set[Address]) -> None:
        """Why devices have no copy: their list is too old here, or of a key that is no more."""
        for address in sorted(missing, key=str):
            phone = next(each.phone for each in self.households if each.user == address.user_id)
            known = seat.client.device.remote_identity(phone.address)
            if known is not None and known.identity_key != phone.client.device.identity_key:
                self.counts["no copy: the phone was lost for good, and nobody knows"] += 1
                continue
            is_expired = seat.client.devices(address.user_id).expired
            assert is_expired, f"{seat.name} makes no copy for {address}"
            assert address.device > 1, f"{seat.name} makes no copy for {address}"
            self.counts["no copy: the list was not renewed for too long"] += 1

    def _with_keys(self, seat: Seat, send: Callable[[], Sent]) -> Sent:
        for _ in range(3):
            try:
                return send()
            except UntrustedIdentity as error:
                seat.client.device.accept_identity(error.address, error.identity_key)
                self.counts["keys accepted"] += 1
        return send()

    def _promise_waiting(self, seat: Seat, readers: frozenset[UserId]) -> None:
        """Note what waits, and is not known yet: the message that was just written, if it does."""
        waiting: dict[bytes, list[Seat]] = {}
        for each in seat.client.pending():
            there = self.at(each.recipient)
            if each.group is None and there is not None:
                waiting.setdefault(each.message_id, []).append(there)
        for message_id, expected in waiting.items():
            key = (str(seat.address), message_id)
            if not self.ledger.knows(key):
                self.ledger.promise(
                    key, seat, expected, readers, self.clock.now_ms, in_group=False, waits=True
                )

    def _promise(self, seat: Seat, sent: Sent, readers: frozenset[UserId]) -> None:
        expected = []
        for delivery in sent.deliveries:
            there = self.at(delivery.address)
            if delivery.problem:
                self.counts[f"no copy: {delivery.problem}"] += 1
            if delivery.problem in ("", "backend_error") and there is not None:
                expected.append(there)
        self.ledger.promise(
            (str(seat.address), sent.message_id),
            seat,
            expected,
            readers,
            self.clock.now_ms,
            in_group=sent.group is not None,
            waits=any(each.problem == "backend_error" for each in sent.deliveries),
        )

    def write_into_group(self) -> None:
        """Somebody who is online sends a message into the group."""
        talkative = self.members[: _TALKATIVE + 1]
        online = [each for household in self.households for each in household.online]
        if self.random.random() < 0.4 or not online:
            online = [each for each in talkative if each.is_online]
        if not online:
            return
        seat = self.random.choice(online)
        seat.receive()
        self.sent += 1
        content, readers = Text(f"{self.sent} to all"), frozenset(each.user for each in self.seats)
        try:
            sent = self.interrupts.try_once(
                "send into a group", lambda: self._group(seat).send(content)
            )
        except Interrupt:
            self.ledger.allow(content.text, seat, str(seat.address), readers, self.clock.now_ms)
            return
        except (NotInGroup, GroupRefused):
            self.counts["not in the group"] += 1
            return
        self.counts["messages into the group"] += 1
        self._promise(seat, sent, readers)

    # --- A day ---

    def live(self, messages: int) -> None:
        """Let one day pass, with so many messages."""
        self.day += 1
        self._be_away()
        self._befall()
        into_group = sum(self.random.random() < _IN_GROUP for _ in range(messages))
        left = messages - into_group
        for session in range(_SESSIONS):
            self.clock.advance(self.random.randint(2 * _HOUR_MS, 4 * _HOUR_MS))
            part = left // (_SESSIONS - session)
            left -= part
            self._converse(part)
        for _ in range(into_group):
            self.clock.advance(self.random.randint(1000, 600_000))
            self.write_into_group()
        self.clock.advance(self.random.randint(_HOUR_MS, 4 * _HOUR_MS))
        self._end_day()

    def _converse(self, messages: int) -> None:
        for seat in [each for household in self.households for each in household.online]:
            if self.random.random() < 0.3:
                self._read(seat)
        while messages > 0:
            one, other = self.random.sample(self.households, 2)
            if not one.online:
                return  # nobody is there to write
            seat = self.random.choice(one.online)
            for _ in range(min(messages, self.random.randint(1, 6))):
                self.clock.advance(self.random.randint(500, 60_000))
                self.write(seat, other)
                messages -= 1
            if other.online:
                self._read(self.random.choice(other.online))

    def _read(self, seat: Seat) -> None:
        found = seat.receive()
        direct = [message for message in found if message.group is None]
        if direct and self.random.random() < 0.15:
            seat.call("mark_read", partial(seat.client.mark_read, direct[-50:]))
        for message in direct:
            if message.view_once and message.content is not None:
                self._open_once(seat, message)

    def _open_once(self, seat: Seat, message: Message) -> None:
        if self.random.random() < 0.5:
            seat.call("opened", lambda: seat.client.opened(message))
            self.counts["opened once"] += 1

    def _end_day(self) -> None:
        """Those who are online receive, and do now and then what apps do in the background."""
        for seat in [each for household in self.households for each in household.online]:
            self._read(seat)
            if self.random.random() < 0.3:
                seat.maintain()
            if self.random.random() < 0.1:
                seat.restart()
        for place, seat in enumerate(self.members):
            if seat.is_online and (place <= _TALKATIVE or self.random.random() < 0.3):
                seat.receive()
                if self.random.random() < 0.15:
                    seat.maintain()
        if self.day % 3 == 0 and self.members[0].is_online:
            self._complete_group()
        if self.day % 25 == 0:
            before_ms = self.clock.now_ms - KEPT_MS
            self.ledger.settle(before_ms)
            for seat in self.seats:
                seat.prune(before_ms)

    def _be_away(self) -> None:
        """Some are switched off: phones for days, others for weeks, hardly anybody for months."""
        for household in self.households:
            for seat in household.online:
                chance = self.random.random()
                if chance < (0.02 if seat is household.phone else 0.04):
                    longest = 4 if seat is household.phone else 20
                    seat.go_away(self.random.randint(DAY_MS, longest * DAY_MS))
                elif chance > 0.9985:
                    seat.go_away(self.random.randint(38, 60) * DAY_MS)
        for seat in self.members[1:]:
            if seat.is_online and self.random.random() < 0.02:
                seat.go_away(self.random.randint(DAY_MS, 30 * DAY_MS))

    def _befall(self) -> None:
        """What befalls devices, on some days."""
        for household in self.households:
            if not household.phone.is_online:
                continue
            phone, chance = household.phone, self.random.random()
            if chance < 1 / 200:
                household.lose_phone_with_backup()
                phone.receive()
            elif chance < 1 / 200 + 1 / 300:
                household.lose_phone_for_good()
                self._note_out(household.user)
            elif chance < 0.05 and household.companions:
                household.unlink(self.random.choice(household.companions))
            elif chance < 0.25 and len(household.companions) < household.linked:
                household.link()
        for household in self.households:
            for seat in household.online:
                chance = self.random.random()
                if chance < 0.06:
                    seat.copy()
                elif chance < 0.06 + 0.006 and seat.copied_at_ms is not None:
                    household.restore(seat)
        if self.random.random() < 0.05 and self.members[0].is_online:
            self._change_group()

    def finish(self) -> None:
        """Everybody comes back, and all that waits arrives; then everything is judged."""
        for seat in self.seats:
            seat.back_at_ms = min(seat.back_at_ms, self.clock.now_ms)
            seat.away = [
                (left, min(back, self.clock.now_ms))
                for left, back in seat.away
                if left < self.clock.now_ms
            ]
        for _ in range(6):
            self.clock.advance(DAY_MS)
            for seat in self.seats:
                seat.receive()
                seat.maintain()
            self._complete_group()
        self.ledger.settle(self.clock.now_ms)


def days_of(messages: int, days: int) -> Sequence[int]:
    """How many messages each day has, so that they are as many in all."""
    return [messages * (day + 1) // days - messages * day // days for day in range(days)]
