# SPDX-License-Identifier: Apache-2.0
"""The ratchet as records: read back at every step, small, and without what it needs no longer."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.kdf import MessageKey
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.spqr.machine import CONTENTS, Stage
from e2ecross.protocol.spqr.state import SpqrState
from e2ecross.protocol.spqr.storage import (
    spqr_from_record,
    spqr_material_to_record,
    spqr_to_record,
    with_all_spqr_buckets,
    with_spqr_buckets,
    without_spqr_buckets,
)
from e2ecross.wire.session_records import decode_skipped_keys, encode_skipped_keys
from e2ecross.wire.spqr_records import (
    StoredSpqr,
    StoredSpqrMaterial,
    decode_chunks,
    encode_chunks,
)
from tests.protocol.spqr.ends import Ends, converse
from tests.support.entropy import SeededEntropy
from tests.support.values import with_fields


class Rows:
    """What a store holds of one ratchet; writes what is another object than before."""

    def __init__(self) -> None:
        self.hot = b""
        self.material = b""
        self.chunks: dict[int, bytes] = {}
        self.skipped: dict[tuple[int, int], bytes] = {}
        self.before: SpqrState | None = None
        self.written: list[int] = []
        """Bytes written with each state, all rows together."""

    def keep(self, state: SpqrState) -> SpqrState:
        self.save(state)
        self.before = self.load()
        return self.before

    def save(self, state: SpqrState) -> None:
        before = self.before
        self.hot = spqr_to_record(state).encode()
        written = len(self.hot)
        if before is None or before.machine.held is not state.machine.held:
            self.material = spqr_material_to_record(state).encode()
            written += len(self.material)
        old = () if before is None else before.machine.received.buckets
        new = state.machine.received.buckets
        for number, bucket in enumerate(new):
            if number >= len(old) or old[number] is not bucket:
                self.chunks[number] = encode_chunks(bucket)
                written += len(self.chunks[number])
        for number in range(len(new), len(old)):
            del self.chunks[number]
        rows = {
            (chain.epoch, number): bucket
            for chain in state.chains.epochs
            for number, bucket in chain.skipped.buckets.items()
        }
        known = (
            {}
            if before is None
            else {
                (chain.epoch, number): bucket
                for chain in before.chains.epochs
                for number, bucket in chain.skipped.buckets.items()
            }
        )
        for row, keys in rows.items():
            if known.get(row) is not keys:
                self.skipped[row] = encode_skipped_keys(keys)
                written += len(self.skipped[row])
        for row in known.keys() - rows.keys():
            del self.skipped[row]
        self.written.append(written)

    def load(self) -> SpqrState:
        state = spqr_from_record(
            StoredSpqr.decode(self.hot),
            StoredSpqrMaterial.decode(self.material),
            [decode_chunks(self.chunks[number]) for number in sorted(self.chunks)],
        )
        buckets: dict[int, dict[int, dict[int, MessageKey]]] = {}
        for (epoch, number), record in self.skipped.items():
            buckets.setdefault(epoch, {})[number] = decode_skipped_keys(record)
        return with_all_spqr_buckets(state, buckets)

    def everything(self) -> bytes:
        rows = (self.hot, self.material, *self.chunks.values(), *self.skipped.values())
        return b"\0".join(rows)


def _stored_ends(seed: int | str) -> tuple[Ends, list[Rows]]:
    rows = [Rows(), Rows()]
    return Ends(seed, keep=lambda end, state: rows[end].keep(state)), rows


def _describe(value: Any) -> Any:  # noqa: ANN401
    """Every field of a state, at any depth, to be compared."""
    if isinstance(value, tuple):
        return tuple(map(_describe, tuple.__iter__(value)))
    if hasattr(value, "buckets"):
        return (len(value), _describe(value.buckets))
    if hasattr(value, "__dataclass_fields__"):
        return tuple(_describe(getattr(value, name)) for name in value.__dataclass_fields__)
    if isinstance(value, dict):
        return {key: _describe(item) for key, item in value.items()}
    return value


def test_a_state_without_its_stored_keys_at_hand_lacks_nothing_else() -> None:
    ends = Ends()
    converse(ends, random.Random(1), 60, 0.0, 0.0)
    late = [ends.send(0) for _ in range(100)]
    ends.deliver(1, late[-1].data)
    state = ends.states[1]
    assert state is not None
    slim = without_spqr_buckets(state)
    assert not any(chain.skipped.buckets for chain in slim.chains.epochs)
    buckets = {chain.epoch: chain.skipped.buckets for chain in state.chains.epochs}
    assert _describe(with_all_spqr_buckets(slim, buckets)) == _describe(state)


@given(st.integers(0, 2**32), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_state_survives_its_records(seed: int, loss: float, late: float) -> None:
    def keep(end: int, state: SpqrState) -> SpqrState:
        rows[end].save(state)
        loaded = rows[end].load()
        assert _describe(loaded) == _describe(state)
        rows[end].before = loaded
        return loaded

    rows = [Rows(), Rows()]
    converse(Ends(seed, keep=keep), random.Random(seed), 60, loss, late)


def test_epochs_complete_with_every_state_saved_and_loaded() -> None:
    ends, rows = _stored_ends("stored")
    read = converse(ends, random.Random(7), 700, 0.2, 0.3)
    assert read > 300
    assert min(ends.epochs()) > 3
    assert rows[0].skipped


def test_what_is_written_for_a_message_is_small() -> None:
    ends, rows = _stored_ends("small")
    for turn in range(400):
        ends.exchange(turn % 2)
    assert min(ends.epochs()) > 3
    for end in (0, 1):
        written = sorted(rows[end].written)
        assert written[len(written) // 2] < 500  # bytes, the usual message
        assert written[-1] < 4_000  # the one that changes the stage
        assert sum(written) / len(written) < 650


def test_kem_seeds_and_messages_are_gone_with_the_stage_that_needs_them() -> None:
    drawn: list[bytes] = []

    class Recording(SeededEntropy):
        def bytes(self, n: int) -> bytes:
            value = super().bytes(n)
            drawn.append(value)
            return value

    ends, rows = _stored_ends("erased")
    ends.entropy = [Recording("0"), Recording("1")]
    seen = set()
    for turn in range(800):
        ends.exchange(turn % 2)
        for end in (0, 1):
            state = ends.states[end]
            assert state is not None
            contents = CONTENTS[state.machine.stage]
            held = state.machine.held
            present = [value for value in drawn if value in rows[end].everything()]
            needed = [value for value in (held.seed, held.m) if value]
            assert present == needed
            assert [len(value) for value in needed] == [n for n in (contents.seed, contents.m) if n]
            seen.add((state.machine.stage, bool(needed)))
    assert len(drawn) > 15
    assert (Stage.CT2_SAMPLED, False) in seen
    assert (Stage.NO_HEADER_RECEIVED, False) in seen


def test_used_keys_are_gone_from_the_records() -> None:
    ends, rows = _stored_ends("used")
    sent = [ends.send(0) for _ in range(100)]
    ends.deliver(1, sent[-1].data)
    for one in sent[:-1]:
        assert one.key is not None
        assert rows[1].everything().count(one.key) == 1
        assert ends.deliver(1, one.data) == one.key
        assert rows[1].everything().count(one.key) == 0
    assert rows[1].skipped == {}


# --- Stored keys at hand ----------------------------------------------------------------------


def test_one_bucket_at_hand_is_enough() -> None:
    ends, rows = _stored_ends("bucket")
    sent = [ends.send(0) for _ in range(200)]
    ends.deliver(1, sent[-1].data)
    bare = spqr_from_record(
        StoredSpqr.decode(rows[1].hot),
        StoredSpqrMaterial.decode(rows[1].material),
        [decode_chunks(rows[1].chunks[0])],
    )
    assert len(bare.chains.epochs[0].skipped) == 199
    assert bare.chains.epochs[0].skipped.buckets == {}
    buckets = {0: {1: decode_skipped_keys(rows[1].skipped[0, 1])}}
    ready = with_spqr_buckets(bare, buckets)
    assert len(ready.chains.epochs[0].skipped) == 199
    assert ready.chains.epochs[0].skipped.get(70) == sent[69].key
    assert with_spqr_buckets(bare, {}).chains.epochs[0] is bare.chains.epochs[0]
    every = {0: {n: decode_skipped_keys(row) for (_, n), row in rows[1].skipped.items()}}
    assert len(with_all_spqr_buckets(bare, every).chains.epochs[0].skipped) == 199
    for wrong in (buckets, {0: {**every[0], 4: {300: MessageKey(bytes(32))}}}):
        with pytest.raises(RecordCorrupted):
            with_all_spqr_buckets(bare, wrong)


# --- Damage -----------------------------------------------------------------------------------


def _at(stage: Stage) -> Rows:
    ends, rows = _stored_ends("damage")
    for turn in range(200):
        for end in (0, 1):
            state = ends.states[end]
            assert state is not None
            if state.machine.stage is stage and state.machine.epoch > 1:
                return rows[end]
        ends.exchange(turn % 2)
    raise AssertionError(f"{stage} not reached")


def _load(rows: Rows, change: Callable[[StoredSpqr], StoredSpqr]) -> SpqrState:
    return spqr_from_record(
        change(StoredSpqr.decode(rows.hot)),
        StoredSpqrMaterial.decode(rows.material),
        [decode_chunks(rows.chunks[number]) for number in sorted(rows.chunks)],
    )


@pytest.mark.parametrize("stage", [S for S in Stage if S is not Stage.EK_RECEIVED_CT1_SAMPLED])
def test_a_record_that_contradicts_itself_is_corrupted(stage: Stage) -> None:
    rows = _at(stage)
    assert _load(rows, lambda stored: stored).machine.stage is stage
    changes: list[Callable[[StoredSpqr], StoredSpqr]] = [
        lambda stored: with_fields(stored, stage=0),
        lambda stored: with_fields(stored, stage=12),
        lambda stored: with_fields(stored, stage=stage % 11 + 1),
        lambda stored: with_fields(stored, negotiation=0),
        lambda stored: with_fields(stored, negotiation=4),
        lambda stored: with_fields(stored, epoch=0),
        lambda stored: with_fields(stored, epoch=stored.epoch + 1),
        lambda stored: with_fields(stored, epoch=stored.epoch - 1),
        lambda stored: with_fields(stored, next_chunk=65_536),
        lambda stored: with_fields(stored, first_epoch=stored.first_epoch + 1),
        lambda stored: with_fields(stored, sending_epoch=stored.sending_epoch + 1),
        lambda stored: with_fields(stored, sending_epoch=stored.epoch),
        lambda stored: with_fields(stored, chains=stored.chains[:-1]),
        lambda stored: with_fields(stored, received_chunks=stored.received_chunks + 1),
        lambda stored: with_fields(
            stored, chains=tuple(with_fields(chain, sending_key=b"") for chain in stored.chains)
        ),
    ]
    for change in changes:
        with pytest.raises(RecordCorrupted):
            _load(rows, change)


def test_a_machine_two_epochs_further_than_was_sent_in_is_corrupted() -> None:
    rows = _at(Stage.NO_HEADER_RECEIVED)

    def nothing_sent(stored: StoredSpqr) -> StoredSpqr:
        chains = stored.chains[-1:] * epoch
        return with_fields(stored, epoch=epoch, first_epoch=0, sending_epoch=0, chains=chains)

    epoch = 2
    assert _load(rows, nothing_sent).machine.epoch == 2
    epoch = 3
    with pytest.raises(RecordCorrupted):
        _load(rows, nothing_sent)


def test_material_of_another_stage_is_corrupted() -> None:
    rows, other = _at(Stage.HEADER_SENT), _at(Stage.CT2_SAMPLED)
    with pytest.raises(RecordCorrupted):
        spqr_from_record(StoredSpqr.decode(rows.hot), StoredSpqrMaterial.decode(other.material), [])


def test_chunks_that_do_not_fit_are_corrupted() -> None:
    rows = _at(Stage.CT1_SAMPLED)
    hot, material = StoredSpqr.decode(rows.hot), StoredSpqrMaterial.decode(rows.material)
    chunk = bytes(32)
    full = dict.fromkeys(range(8), chunk)
    more = dict.fromkeys(range(8, 11), chunk)
    good = with_fields(hot, received_chunks=11)
    assert len(spqr_from_record(good, material, [full, more]).machine.received) == 11
    for bad in ([more, full], [full, {7: chunk, 8: chunk, 9: chunk}], [full], [], [full, more, {}]):
        with pytest.raises(RecordCorrupted):
            spqr_from_record(good, material, bad)
    all_there = [{8 * row + i: chunk for i in range(8)} for row in range(5)]
    for count, accepted in ((35, True), (36, False), (40, False)):
        kept = [{i: chunk for i in row if i < count} for row in all_there]
        stored = with_fields(hot, received_chunks=count)
        if accepted:
            assert len(spqr_from_record(stored, material, kept).machine.received) == 35
        else:
            with pytest.raises(RecordCorrupted):
                spqr_from_record(stored, material, kept)
