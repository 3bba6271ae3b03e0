# SPDX-License-Identifier: Apache-2.0
"""Files beside a model of them: any order of calls, repetitions, restarts, time and damage."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from e2ecross.address import Address
from e2ecross.errors import BackendError, BackendRefused, BlobGone
from tests.relay.blob_support import (
    ANAS_TABLET,
    LIMITS,
    PLACES,
    begin,
    content,
    delete,
    get,
    put,
)
from tests.relay.support import ANA, BUDI

WRITERS = st.sampled_from([ANA, ANAS_TABLET, BUDI])
NUMBERS = st.integers(0, 6)
SIZES = st.sampled_from([1, 2, 400, 900, 1_000, 1_001])


@dataclass
class Blob:
    user: str
    size: int
    data: bytes
    until_ms: int

    @property
    def is_complete(self) -> bool:
        return len(self.data) == self.size


def outcome(call: Callable[[], object]) -> object:
    """What a call returns, or which error of ours it raises."""
    try:
        return call()
    except BackendError as error:
        return type(error)


class BlobsModel(RuleBasedStateMachine):
    @initialize(kind=st.sampled_from(sorted(PLACES)))
    def open(self, kind: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.place = PLACES[kind](Path(self.folder.name))
        self.store = self.place.open()
        self.blobs: dict[int, Blob] = {}  # also those whose time is over, as long as they count

    def now(self) -> int:
        return self.place.clock.now_ms

    def live(self, number: int) -> Blob | None:
        blob = self.blobs.get(number)
        return blob if blob is not None and blob.until_ms > self.now() else None

    def room(self, user: str) -> tuple[int, int]:
        live = [blob for n, blob in self.blobs.items() if self.live(n) and blob.user == user]
        return LIMITS.blobs_per_user - len(live), LIMITS.blobs_per_user_bytes - sum(
            blob.size for blob in live
        )

    @rule(number=NUMBERS, size=SIZES, who=WRITERS)
    def begin(self, number: int, size: int, who: Address) -> None:
        answer = outcome(lambda: begin(self.store, number, size, who))
        user, blob = str(who.user_id), self.live(number)
        count, left = self.room(user)
        if size > LIMITS.blob_bytes or (
            blob is not None and (blob.user, blob.size) != (user, size)
        ):
            assert answer is BackendRefused
        elif blob is not None:
            assert answer == len(blob.data)
        elif not count or size > left:
            assert answer is BackendRefused
        else:
            assert answer == 0
            self.blobs[number] = Blob(user, size, b"", self.now() + LIMITS.blob_part_kept_ms)

    @rule(
        number=NUMBERS,
        back=st.integers(-1, 500),
        length=st.sampled_from([0, 1, 150, 499, 1_000]),
        who=WRITERS,
        name=st.sampled_from(["", "other"]),
    )
    def put(self, number: int, back: int, length: int, who: Address, name: str) -> None:
        """From so far before the end of what is there on; to the end of the blob, if that is 0."""
        blob = self.live(number)
        stored, size = (len(blob.data), blob.size) if blob else (0, 10)
        offset = max(stored - back, 0)
        data = content(1_000, name)[offset : offset + length if length else size]
        answer = outcome(lambda: put(self.store, number, offset, data, who))
        if not data:
            assert answer is BackendRefused
        elif blob is None or blob.user != str(who.user_id):
            assert answer is BlobGone
        elif offset > stored or offset + len(data) > size:
            assert answer is BackendRefused
        else:
            new = data[stored - offset :]
            blob.data += new
            assert answer == len(blob.data)
            if new and blob.is_complete:
                blob.until_ms = self.now() + LIMITS.blob_kept_ms

    @rule(number=NUMBERS, who=WRITERS)
    def upload(self, number: int, who: Address) -> None:
        """What a client does: begin, and all that lacks."""
        self.begin(number, 400, who)
        self.put(number, 0, 0, who, "")

    @rule(number=NUMBERS, offset=st.integers(0, 1_000), length=st.integers(0, 1_001))
    def get(self, number: int, offset: int, length: int) -> None:
        answer = outcome(lambda: get(self.store, number, offset, length))
        blob = self.live(number)
        if not length:
            assert answer is BackendRefused
        elif blob is None or not blob.is_complete:
            assert answer is BlobGone
        elif offset + length > blob.size:
            assert answer is BackendRefused
        else:
            assert answer == blob.data[offset : offset + length]

    @rule(number=NUMBERS, who=WRITERS)
    def delete(self, number: int, who: Address) -> None:
        delete(self.store, number, who)
        blob = self.blobs.get(number)
        if blob is not None and blob.user == str(who.user_id):
            del self.blobs[number]

    @rule(step=st.sampled_from([1, 50, 100, 1_000]))
    def wait(self, step: int) -> None:
        self.place.clock.now_ms += step

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.place.open()

    @rule(number=NUMBERS, more=st.sampled_from([1, 5_000]))
    def a_killed_process_has_written_more(self, number: int, more: int) -> None:
        blob = self.live(number)
        if blob is None or not blob.is_complete:
            with self.place.part(number).open("ab") as file:
                file.write(bytes(more))

    @rule(number=NUMBERS, left=st.sampled_from([None, 0, 100]))
    def somebody_cuts_a_file(self, number: int, left: int | None) -> None:
        blob = self.live(number)
        if blob is None or not len(blob.data) > (left or 0):
            return
        path = (self.place.file if blob.is_complete else self.place.part)(number)
        if left is None:
            path.unlink()
        else:
            os.truncate(path, left)
        assert outcome(lambda: get(self.store, number, blob.size - 1, 1)) is BlobGone
        who = next(who for who in (ANA, BUDI) if str(who.user_id) == blob.user)
        assert outcome(lambda: put(self.store, number, 0, b"x", who)) is BlobGone
        assert begin(self.store, number, blob.size, who) == 0
        blob.data, blob.until_ms = b"", self.now() + LIMITS.blob_part_kept_ms

    @invariant()
    def what_is_kept_is_what_the_model_keeps(self) -> None:
        live = {n: blob for n, blob in self.blobs.items() if self.live(n)}
        rows = sorted(row[1:] for row in self.place.rows() if row[4] > self.now())
        assert rows == sorted((b.user, b.size, len(b.data), b.until_ms) for b in live.values())
        for number, blob in live.items():
            if blob.is_complete:
                assert self.place.file(number).read_bytes() == blob.data
                assert not self.place.part(number).exists()
            elif blob.data:
                assert self.place.part(number).read_bytes()[: len(blob.data)] == blob.data

    def teardown(self) -> None:
        self.store.close()
        self.store = self.place.open()
        kept = {row[0].hex() for row in self.place.rows()}
        assert {path.stem for path in self.place.files()} <= kept  # nothing else is left behind
        self.store.close()
        self.folder.cleanup()


TestBlobs = BlobsModel.TestCase
