# SPDX-License-Identifier: Apache-2.0
"""A group whose members' devices are killed again and again, and what must hold meanwhile."""

import random
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Final

from e2ecross import Client, Device, Role
from e2ecross.relay import Relay
from e2ecross.state.groups import find_group, find_state, walk_groups
from e2ecross.stores import SQLiteStore
from tests.durability.child import KEY, Order, store_path
from tests.durability.groups_child import FOUNDERS, group_file
from tests.durability.receipts_child import ANA, BUDI, POLICY, TOKO
from tests.durability.receipts_world import ReceiptsWorld
from tests.durability.world import Figures, Nursery

_HOURS_MS: Final = 2 * 60 * 60 * 1000
"""From one round to the next: what may be asked for once in an hour may be asked for again."""
_LAST_WORDS: Final = 2


class GroupsWorld(ReceiptsWorld):
    """Ana with two devices, who owns the group; Budi, an admin; Toko, who comes and goes."""

    def __init__(
        self, directory: Path, nursery: Nursery, rng: random.Random, figures: Figures
    ) -> None:
        super().__init__(directory, nursery, rng, figures)
        with Relay(directory / "relay.db") as relay:
            clients = {device: self._open(device, relay) for device in self.devices}
            group = clients[f"{ANA}.1"].create_group("Trip", [BUDI, TOKO])
            group.set_role(BUDI, Role.ADMIN)
            for client in [*clients.values()] * 2:
                client.confirm(client.receive())
            for client in clients.values():
                client.group(group.id).accept()
                client.device._context.store.close()
        self._group = group.id
        group_file(directory).write_text(str(group.id))

    def _open(self, device: str, relay: Relay) -> Client:
        path = store_path(str(self._directory), device)
        store = SQLiteStore(path, key=KEY if self._sealed else None)
        return Client(Device.open(store, policy=POLICY, clock=lambda: self._now_ms), relay)

    # --- Rounds -----------------------------------------------------------------------------

    def _order(self, device: str, point: str, *, steps: int = 8) -> Order:
        return replace(super()._order(device, point, steps=steps), peers=[])

    def _run(self, orders: list[Order]) -> list[int]:
        self._now_ms += _HOURS_MS
        return super()._run(orders)

    def _drain(self) -> None:
        """All go on in peace; each says something a few times, so that all hear of all changes."""
        self._settle()
        for number in range(_LAST_WORDS):
            for device in self.devices:
                if self._is_in(device):
                    last = replace(self._order(device, "", steps=0), first_to=f"last {number}")
                    assert self._run([last]) == [0]
            self._settle()

    def _settle(self) -> None:
        for device in [*self.devices] * 2:
            assert self._run([self._order(device, "", steps=0)]) == [0]

    def _is_in(self, device: str) -> bool:
        with self._copy(device) as store, store.transaction() as tx:
            state = find_state(tx, self._group)
        assert state is not None
        return any(str(member.user) == device.rpartition(".")[0] for member in state.members)

    # --- What must hold ---------------------------------------------------------------------

    def _check_end(self) -> None:
        self._check_keys_in_groups()
        self._check_states()
        self._check_groups()
        self._check_messages()

    def _check_keys_in_groups(self) -> None:
        """Under one key and iteration one ciphertext has left, whoever was killed when."""
        texts: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
        for note in self._notes["left in a group"]:
            texts[note["key"], note["iteration"]].add(note["text"])
        assert all(len(left) == 1 for left in texts.values())
        self._figures.encryptions += len(texts)

    def _check_states(self) -> None:
        """All who are in know the same, and nobody has anything left to tell."""
        found = {}
        for device in self.devices:
            with self._copy(device) as store, store.transaction() as tx:
                state, record = find_state(tx, self._group), find_group(tx, self._group)
            assert state is not None
            assert record is not None
            assert not record.unannounced
            if self._is_in(device):
                found[device] = state.heads
        assert len({*found.values()}) == 1
        assert {device.rpartition(".")[0] for device in found} >= {*FOUNDERS}

    def _check_groups(self) -> None:
        """A group that was made is there for all who are in it, or for nobody."""
        known = []
        for device in self.devices:
            with self._copy(device) as store, store.transaction() as tx:
                known.append({group for group, record in walk_groups(tx) if record.joined_at_ms})
        assert all(groups == known[0] for groups in known)

    def _check_messages(self) -> None:
        """Each message of who is in all the time comes to all of their other devices, once."""
        handed: defaultdict[str, set[str]] = defaultdict(set)
        unflagged: Counter[tuple[str, str]] = Counter()
        for note in self._notes["handed"]:
            handed[note["id"]].add(note["at"])
            unflagged[note["id"], note["at"]] += not note["again"]
        assert max(unflagged.values(), default=0) <= 1
        staying = {each for each in self.devices if each.rpartition(".")[0] in FOUNDERS}
        sent = {note["id"] for note in self._notes["sent"]}
        left = {note["id"] for note in self._notes["left in a group"]}
        for note in self._notes["intent"]:
            if note["sender"] in staying:
                expected = staying - {note["sender"]}
                there = handed[note["id"]] & staying
                assert there in (set(), expected), note
                assert there or note["id"] not in sent | left, note
                self._figures.accepted += bool(there)
