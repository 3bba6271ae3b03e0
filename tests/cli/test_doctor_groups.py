# SPDX-License-Identifier: Apache-2.0
"""`doctor` about groups and sender keys: each fact and finding on a real store, without a name."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2ecross import Policy, SenderKeyGroup, Text
from e2ecross.crypto.keys import decode_public_key
from e2ecross.device.group_changes import (
    accept_group,
    change_settings,
    create_group,
    leave_group,
    remove_members,
    set_role,
)
from e2ecross.device.posted import KeysAsked
from e2ecross.state.accounts import user_key
from e2ecross.state.context import address_key, require_device, save_device
from e2ecross.state.group_keys import GROUP_KEYS, forget_grant
from e2ecross.state.group_outbox import GROUP_OUTBOX, empty_in_group_outbox
from e2ecross.state.groups import find_group, put_group
from e2ecross.state.trust import find_identity_record
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table
from e2ecross.wire.group import GroupId, GroupSettings, Role
from e2ecross.wire.sender_key_records import OwnSenderKeyRecord
from tests.cli.test_doctor import NOW_MS, Home
from tests.support.devices import ANA, BUDI, DAY_MS, TOKO, BackendSimulator, make_client
from tests.support.group_sending import deliver, group_key, send, waiting
from tests.support.group_world import GroupWorld
from tests.support.points import OTHER_KEY

POLICY = Policy()
NAME = "The cake is in the oven"


class Party:
    """Ana, whose store is examined, in groups with Budi and Toko."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "open.db"
        self.store = SQLiteStore(self.path)
        self._home = Home(folder / "home" / "ana.db")
        self._home.path.parent.mkdir()
        self.world = GroupWorld((), stores=self._open, sessions=True)
        self.world.clock.now_ms = NOW_MS
        for address in (ANA, BUDI, TOKO):
            self.world.join(address)
        self.ana = self.world.context(ANA)
        published = self.world.devices[ANA].publish(one_time=30)
        self.world.devices[ANA].confirm_published(published)

    def _open(self, user: str) -> Store:
        return self.store if user == ANA.user else MemoryStore()

    def group(self) -> GroupId:
        return self.world.create(ANA, BUDI, TOKO, name=NAME)

    def send(self, group: GroupId) -> None:
        """Give the key to who lacks it, and put a message into the outbox."""
        send(self.world.devices[ANA], group, NAME)

    def change(self, group: GroupId, **changes: object) -> None:
        """Change what stands of a group beside its commits."""
        with self.store.transaction() as tx:
            record = find_group(tx, group)
            assert record is not None
            put_group(tx, group, replace(record, **changes))  # type: ignore[arg-type]

    def change_device(self, **changes: object) -> None:
        """Change what stands of the device itself."""
        with self.store.transaction() as tx:
            save_device(tx, replace(require_device(tx), **changes))  # type: ignore[arg-type]

    def announced(self, group: GroupId) -> None:
        self.change(group, unannounced=())

    @property
    def home(self) -> Home:
        """A copy of the store as it is, which nobody has open."""
        self._home.path.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(self.path)) as source,
            closing(sqlite3.connect(self._home.path)) as copy,
        ):
            source.backup(copy)
        return self._home

    def health(self) -> Mapping[str, Any]:
        ended = self.home.examine("--json")
        health = json.loads(ended.out)["health"]
        assert isinstance(health, dict)
        return health

    def one(self) -> Mapping[str, Any]:
        (group,) = self.health()["groups"]
        assert isinstance(group, dict)
        return group

    def findings(self) -> tuple[set[str], set[str]]:
        """Problems and notes, but for those of a device without a client."""
        problems, notes = self.home.findings()
        return problems - {"own_list_unpublished"}, notes - {"not_registered", "unacknowledged"}

    def words(self) -> str:
        return " ".join(self.home.examine().out.split())


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    party = Party(tmp_path)
    yield party
    party.store.close()


def test_without_groups_nothing_is_said(party: Party) -> None:
    assert party.health()["groups"] == []
    assert set(party.health()["sender_keys"].values()) == {0}
    assert "groups" not in party.words()
    assert party.findings() == (set(), set())


def test_a_new_group_is_described(party: Party) -> None:
    party.group()
    assert party.one() == {
        "status": "active",
        "commits": 1,
        "queue": {"grants": 0, "messages": 0, "anew": 0},
        "accepted": True,
        "members": 3,
        "role": Role.OWNER,
        "back": 0,
        "unannounced": 1,
        "key": None,
        "reach": {"devices": 2, "lacking": 2, "unasked": 0, "problems": {}},
    }
    words = party.words()
    assert "groups 1 active group 1 active: 3 members, own role owner, 1 commit no own key" in words
    assert "reaches 2 devices, 2 without the key" in words
    assert party.findings() == (set(), {"commits_unannounced", "group_grants_missing"})


def test_a_group_that_was_written_to_has_a_key_and_a_queue(party: Party) -> None:
    group = party.group()
    party.announced(group)
    party.send(group)
    found = party.one()
    assert found["queue"] == {"grants": 2, "messages": 1, "anew": 0}
    assert found["key"] == {"age_ms": found["key"]["age_ms"], "messages": 1, "given": 2} | {
        "is_due": False
    }
    assert found["reach"] == {"devices": 2, "lacking": 0, "unasked": 0, "problems": {}}
    words = party.words()
    assert "own key 0 days old, 1 of 1000 used, given to 2" in words
    assert "waiting: 2 grants, 1 message" in words
    assert party.findings() == (set(), {"group_outbox", "outbox"})


def test_nothing_of_a_group_but_numbers_is_printed(party: Party) -> None:
    group = party.group()
    party.send(group)
    key = group_key(party.world.devices[ANA], group)
    for options in ((), ("--json",)):
        out = party.home.examine(*options).out.replace(str(party.home.path), "")
        for hidden in (NAME, ANA.user, BUDI.user, TOKO.user, group.value.hex()):
            assert hidden not in out
        assert key.distribution_id.hex() not in out


def test_a_message_that_is_to_be_encrypted_again_is_told(party: Party) -> None:
    group = party.group()
    party.send(group)
    *_, message = waiting(party.world.devices[ANA])
    with party.store.transaction() as tx:
        empty_in_group_outbox(tx, message)
    assert party.one()["queue"] == {"grants": 2, "messages": 0, "anew": 1}
    assert "0 messages, 1 to be encrypted anew" in party.words()
    assert "group_messages_anew" in party.findings()[1]


def test_a_group_in_use_has_no_finding(tmp_path: Path) -> None:
    backend, home = BackendSimulator(), Home(tmp_path / "ana.db")
    with SQLiteStore(home.path) as store:
        ana = make_client(ANA, backend, store, clock=lambda: NOW_MS)
        budi = make_client(BUDI, backend, clock=lambda: NOW_MS)
        group = ana.create_group(NAME, [str(BUDI.user_id)])
        group.send(Text(NAME))
        budi.confirm(budi.receive())
        budi.group(group.id).send(Text(NAME))
        ana.confirm(ana.receive())
        ana.maintain()
    assert home.findings() == (set(), set())
    words = " ".join(home.examine().out.split())
    assert "own key 0 days old, 2 of 1000 used, given to 1" in words
    assert "reaches 1 device, 0 without the key sender keys held of 1 device: 1 key" in words


# --- Keys that are due --------------------------------------------------------------------------


def change_key(party: Party, group: GroupId, **changes: int) -> None:
    """Change what is stored of the own key."""
    place = GROUP_KEYS + group.value
    with party.store.transaction() as tx:
        stored = OwnSenderKeyRecord.decode(tx.get(Table.OWN_SENDER_KEYS, place) or b"")
        fields = {name: getattr(stored, name) for name in stored._fields} | changes
        tx.put(Table.OWN_SENDER_KEYS, place, b"", OwnSenderKeyRecord(**fields).encode())


def _old(party: Party, group: GroupId) -> None:
    change_key(party, group, created_at_ms=NOW_MS - POLICY.sender_key_max_age_ms)


def _used_up(party: Party, group: GroupId) -> None:
    change_key(party, group, iteration=1000)


def _somebody_removed(party: Party, group: GroupId) -> None:
    remove_members(party.ana, group, [TOKO.user_id])


def _not_known_who_has_it(party: Party, group: GroupId) -> None:
    with party.store.transaction() as tx:
        for address in (BUDI, TOKO):
            forget_grant(tx, group, address)


@pytest.mark.parametrize("end", [_old, _used_up, _somebody_removed, _not_known_who_has_it])
def test_a_key_that_is_due_is_told(party: Party, end: Callable[[Party, GroupId], None]) -> None:
    group = party.group()
    party.send(group)
    assert not party.one()["key"]["is_due"]
    end(party, group)
    found = party.one()
    assert found["key"]["is_due"]
    assert found["reach"]["lacking"] == found["reach"]["devices"] > 0
    assert "a new one is due" in party.words()
    assert {"group_keys_due", "group_grants_missing"} <= party.findings()[1]


def test_the_age_of_a_key_is_told(party: Party) -> None:
    group = party.group()
    party.send(group)
    for age_ms, shown in ((DAY_MS, "1 day old"), (-DAY_MS, "of the future")):
        change_key(party, group, created_at_ms=NOW_MS - age_ms)
        assert f"own key {shown}" in party.words()


def test_a_device_without_the_key_is_told(party: Party) -> None:
    group = party.group()
    party.send(group)
    with party.store.transaction() as tx:
        forget_grant(tx, group, TOKO)
    found = party.one()
    assert (found["key"]["given"], found["key"]["is_due"]) == (1, False)
    assert found["reach"]["lacking"] == 1
    assert "group_grants_missing" in party.findings()[1]


# --- How it stands with a group -----------------------------------------------------------------


def test_a_later_release_has_changed_it(party: Party) -> None:
    group = party.group()
    party.change(group, outdated=2, unannounced=())
    assert (party.one()["status"], party.one()["reach"]) == ("outdated", None)
    assert party.findings() == ({"groups_outdated"}, set())


def test_a_full_group_is_told(party: Party) -> None:
    group = party.group()
    party.change(group, full=True, unannounced=())
    assert (party.one()["status"], party.one()["reach"]) == ("full", None)
    assert party.findings() == ({"groups_full"}, set())


def test_a_group_that_was_left_is_told(party: Party) -> None:
    group = party.group()
    set_role(party.ana, group, BUDI.user_id, Role.OWNER)
    leave_group(party.ana, group)
    party.announced(group)
    found = party.one()
    assert (found["status"], found["role"], found["members"]) == ("left", None, 2)
    assert (found["commits"], found["reach"]) == (3, None)
    assert "groups 1 left group 1 left: 2 members, out, 3 commits" in party.words()
    assert party.findings() == (set(), {"groups_left"})


def test_a_group_of_somebody_else_waits_for_the_user(party: Party) -> None:
    group = party.world.create(BUDI, ANA, name=NAME)
    party.world.tell(group, BUDI, ANA)
    found = party.one()
    assert (found["role"], found["accepted"]) == (Role.MEMBER, False)
    assert "active; not accepted: 2 members, own role member, 1 commit" in party.words()
    assert "groups_pending" in party.findings()[1]
    accept_group(party.ana, group)
    assert "groups_pending" not in party.findings()[1]


def test_who_is_back_gets_nothing_until_the_user_confirms(party: Party) -> None:
    group = party.group()
    party.change(group, back=(party.world.member(TOKO),), unannounced=())
    found = party.one()
    assert (found["back"], found["reach"]["devices"]) == (1, 1)
    assert "members_back" in party.findings()[0]


def test_another_key_of_a_member_is_told(party: Party) -> None:
    group = party.group()
    party.announced(group)
    _know_toko(party, identity_key=decode_public_key(OTHER_KEY))
    found = party.one()["reach"]
    assert (found["devices"], found["problems"]) == (1, {"group_key_differs": 1})
    assert "1 not reached: group_key_differs" in party.words()
    assert "members_key_differs" in party.findings()[0]


def test_who_is_not_reached_for_now_is_worth_knowing(party: Party) -> None:
    group = party.group()
    party.announced(group)
    _know_toko(party, pending_key=decode_public_key(OTHER_KEY))
    assert party.one()["reach"]["problems"] == {"untrusted_identity": 1}
    problems, notes = party.findings()
    assert problems == {"identities_changed"}
    assert "members_unreached" in notes


def test_whose_list_is_not_known_is_asked_for(party: Party) -> None:
    party.group()
    with party.store.transaction() as tx:
        tx.delete(Table.ACCOUNTS, user_key(TOKO.user_id), b"")
    assert party.one()["reach"]["unasked"] == 1
    assert "1 list to be asked for before" in party.words()


def _know_toko(party: Party, **changes: object) -> None:
    with party.store.transaction() as tx:
        known = find_identity_record(tx, address_key(TOKO))
        assert known is not None
        record = replace(known, **changes).encode()  # type: ignore[arg-type]
        tx.put(Table.REMOTE_IDENTITIES, address_key(TOKO), b"", record)


def test_each_group_is_told_by_itself(party: Party) -> None:
    first, second = party.group(), party.group()
    party.send(first)
    leave = create_group(party.ana, [], GroupSettings("alone"), KeysAsked())
    assert isinstance(leave, GroupId)
    change_settings(party.ana, second, name="changed")
    groups = party.health()["groups"]
    assert sorted(each["commits"] for each in groups) == [1, 1, 2]
    assert sum(each["queue"]["messages"] for each in groups) == 1
    assert "groups 3 active" in party.words()
    assert "group 3 active" in party.words()


# --- Damage -------------------------------------------------------------------------------------


def _lose_state(party: Party, group: GroupId) -> None:
    with party.store.transaction() as tx:
        tx.delete(Table.GROUPS, group.value, b"state")


def _lose_commit(party: Party, group: GroupId) -> None:
    change_settings(party.ana, group, name="changed")
    with party.store.transaction() as tx:
        row, _ = tx.list(Table.GROUP_COMMITS, group.value)[0]
        tx.delete(Table.GROUP_COMMITS, group.value, row)


@pytest.mark.parametrize("damage", [_lose_state, _lose_commit])
def test_a_group_that_lacks_a_row_is_damaged_as_a_whole(
    party: Party, damage: Callable[[Party, GroupId], None]
) -> None:
    party.group()
    damage(party, party.group())
    found = party.health()["groups"]
    assert sorted(str(each["status"]) for each in found) == ["None", "active"]
    assert "1 damaged" in party.words()
    assert "groups_damaged" in party.findings()[0]
    assert "records_damaged" not in party.findings()[0]
    assert "call Group.forget" in party.words()


@pytest.mark.parametrize(
    ("table", "advice"),
    [
        (Table.GROUPS, "call Group.forget"),
        (Table.GROUP_COMMITS, "call Group.forget"),
        (Table.OWN_SENDER_KEYS, "makes a new key"),
        (Table.GROUP_GRANTS, "makes a new key"),
        (Table.SENDER_KEYS, "asked for by itself"),
        (Table.SENDER_KEY_SEEDS, "asked for by itself"),
    ],
)
def test_damage_of_groups_does_not_give_the_store_up(
    party: Party, table: Table, advice: str
) -> None:
    party.send(party.group())
    give(party)
    with party.store.transaction() as tx:
        place, row, _ = next(iter(tx.scan(table)))
        tx.put(table, place, row, b"\x01garbage")
    problems = party.findings()[0]
    assert "records_damaged" in problems
    assert ("groups_damaged" in problems) is (table in (Table.GROUPS, Table.GROUP_COMMITS))
    words = party.words()
    assert f"records in {table} do not decode: " in words
    assert advice in words
    assert "do not go on with it" not in words


@pytest.mark.parametrize("record", [b"\x01garbage", b"\x02"])
@pytest.mark.parametrize("table", [Table.REMOTE_IDENTITIES, Table.ACCOUNTS])
def test_a_damaged_member_hides_no_group(party: Party, table: Table, record: bytes) -> None:
    party.group()
    with party.store.transaction() as tx:
        key = address_key(TOKO) if table is Table.REMOTE_IDENTITIES else user_key(TOKO.user_id)
        tx.put(table, key, b"", record)
    found = party.one()
    assert (found["status"], found["members"], found["reach"]) == ("active", 3, None)


def test_an_own_key_of_a_later_release_hides_no_group(party: Party) -> None:
    group = party.group()
    party.send(group)
    with party.store.transaction() as tx:
        tx.put(Table.OWN_SENDER_KEYS, GROUP_KEYS + group.value, b"", b"\x02")
    found = party.one()
    assert (found["status"], found["members"], found["key"]) == ("active", 3, None)
    assert "records_too_new" in party.findings()[0]


def test_groups_of_a_linked_device_whose_own_list_is_damaged_are_not_told(party: Party) -> None:
    """Who the own account is in groups is not known: nothing that is said of them would be true."""
    party.group()
    party.change_device(address=replace(ANA, device=2))
    with party.store.transaction() as tx:
        tx.put(Table.ACCOUNTS, user_key(ANA.user_id), b"", b"\x01garbage")
    assert party.health()["groups"] == []


def test_damaged_rows_of_the_queue_hide_no_other(party: Party) -> None:
    party.send(party.group())
    with party.store.transaction() as tx:
        (row, _), *_ = [each for each in tx.list(Table.OUTBOX, GROUP_OUTBOX) if each[0]]
        tx.put(Table.OUTBOX, GROUP_OUTBOX, row, b"\x01garbage")
    assert sum(party.one()["queue"].values()) == 2


# --- Sender keys of others ----------------------------------------------------------------------


def give(party: Party, messages: int = 2) -> None:
    """Let Ana hold keys of Budi: of a group of ours, and of the raw layer with seeds."""
    group = party.world.create(BUDI, ANA, name=NAME)
    party.world.tell(group, BUDI, ANA)
    sender, receiver = party.world.devices[BUDI], party.world.devices[ANA]
    send(sender, group)
    deliver(sender, receiver)
    raw = SenderKeyGroup.key_id(b"raw")
    receiver.process_distribution_raw(BUDI, raw, sender.new_sender_key_raw(raw))
    sent = [sender.encrypt_group_raw(raw, b"?") for _ in range(messages)]
    receiver.decrypt_group_raw(BUDI, raw, sent[-1])


def test_sender_keys_of_others_are_counted(party: Party) -> None:
    give(party)
    assert party.health()["sender_keys"] == {
        "devices": 1,
        "keys": 1,
        "places": 1,
        "raw_keys": 1,
        "raw_places": 1,
        "seeds": 1,
        "near_bound": 0,
        "crowded": 0,
    }
    words = party.words()
    assert "sender keys held of 1 device: 1 key in 1 place, 1 in 1 of the raw layer" in words
    assert "1 of messages that have not arrived" in words


def test_seeds_near_their_bound_are_worth_knowing(party: Party) -> None:
    give(party, messages=1801)
    assert party.health()["sender_keys"]["near_bound"] == 1
    assert "sender_keys_near_bound" in party.findings()[1]


def test_a_device_with_keys_for_as_many_groups_as_can_be_is_worth_knowing(party: Party) -> None:
    sender, receiver = party.world.devices[BUDI], party.world.devices[ANA]
    for number in range(64):
        raw = SenderKeyGroup.key_id(bytes([number]))
        receiver.process_distribution_raw(BUDI, raw, sender.new_sender_key_raw(raw))
    assert party.health()["sender_keys"]["crowded"] == 1
    assert "sender_keys_crowded" in party.findings()[1]
