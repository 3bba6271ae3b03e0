# SPDX-License-Identifier: Apache-2.0
"""A list that a back end never lets become newer is good for 35 days; then device 1 alone is left.

The attacker: a back end that shows somebody the list of a day for ever, and drops what would tell
of a newer one, so that a device that was taken out goes on getting their messages.
"""

from collections.abc import Mapping, Sequence

import pytest

from e2ecross import Address, Client, Message, Policy, Sent, Text
from e2ecross.errors import UnknownRecipient
from e2ecross.stores import Table
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys
from tests.attacks.support import ANA, BUDI
from tests.support.accounts import account, make_account
from tests.support.devices import DAY_MS, BackendSimulator, Dump, FakeClock, dump, make_client

BUDIS = BUDI.user_id
MAX_AGE_MS = 35 * DAY_MS


class FreezingBackend(BackendSimulator):
    """Shows Budi's list of one day, and keeps all devices that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen: bytes | None = None

    def publish_devices(
        self, token: bytes, signed_list: bytes, tokens: Mapping[int, bytes], *, epoch: int = 0
    ) -> None:
        before = dict(self._accounts)
        super().publish_devices(token, signed_list, tokens, epoch=epoch)
        self._accounts = {**before, **self._accounts}

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        answers = list(super().fetch_keys(requester, token, wanted))
        for place, (asked, keys) in enumerate(zip(wanted, answers, strict=True)):
            if asked.user == BUDIS and self.frozen and isinstance(keys, UserKeys):
                answers[place] = UserKeys(self.frozen, keys.bundles)
        return answers

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        found = super().deposit_all(token, envelopes, epochs=epochs, consents=consents)
        seqs = {**found.seqs, BUDIS: 0} if self.frozen else found.seqs
        return Deposited(found.refused, seqs, found.epochs)


class World:
    """Ana has written to both devices of Budi; then one is taken out behind her back."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.clock, self.backend = FakeClock(), FreezingBackend()
        self.phone, self.tablet = make_account(BUDI, (1, 2), self.backend, clock=self.clock)
        self.ana = make_client(ANA, self.backend, clock=self.clock, policy=policy)
        assert reached(self.write("first")) == {1, 2}
        self.backend.frozen = self.backend.lists[BUDIS]
        self.phone.unlink(2)

    def write(self, text: str) -> Sent:
        return self.ana.send(str(BUDIS), Text(text))

    def trust(self) -> Dump:
        """Ana's identities and sessions: whom she could write to."""
        rows = dump(self.ana.device._context.store)
        tables = (Table.REMOTE_IDENTITIES, Table.SESSIONS)
        return {where: row for where, row in rows.items() if where[0] in tables}


def reached(sent: Sent) -> set[int]:
    assert all(not each.problem for each in sent.deliveries)
    return {each.address.device for each in sent.deliveries}


def read(client: Client) -> list[str]:
    items = client.receive()
    client.confirm(items)
    texts = [item.content for item in items if isinstance(item, Message)]
    return [content.text for content in texts if isinstance(content, Text)]


@pytest.mark.parametrize("max_age_ms", [MAX_AGE_MS, 8 * DAY_MS])
def test_a_list_that_never_becomes_newer_is_one_of_device_1(max_age_ms: int) -> None:
    world = World(Policy(device_list_max_age_ms=max_age_ms))
    assert Policy().device_list_max_age_ms == MAX_AGE_MS
    world.clock.advance(max_age_ms)
    sent = world.write("the last")
    assert (reached(sent), sent.list_expired) == ({1, 2}, False)
    before, held = world.trust(), account(world.ana.device, BUDIS).held
    world.clock.advance(1)
    sent = world.write("not for the tablet")
    assert (reached(sent), sent.list_expired) == ({1}, True)
    # Nothing is forgotten of the others: the next list says what becomes of them.
    assert world.trust().keys() == before.keys()
    assert account(world.ana.device, BUDIS).held == held
    assert read(world.phone) == ["first", "the last", "not for the tablet"]


def test_the_next_list_that_gets_through_ends_it() -> None:
    world = World()
    world.clock.advance(MAX_AGE_MS + 1)
    assert world.write("not for the tablet").list_expired
    world.backend.frozen = None
    world.phone.maintain()
    world.write("tells of a newer list")
    sent = world.write("by that")
    assert (reached(sent), sent.list_expired) == ({1}, False)
    listed = account(world.ana.device, BUDIS).held
    assert listed is not None
    assert listed.encode() == world.backend.lists[BUDIS]
