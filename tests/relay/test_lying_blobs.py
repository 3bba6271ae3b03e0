# SPDX-License-Identifier: Apache-2.0
"""That the stores that lie do lie, and do nothing else (`tests/support/lying_blobs.py`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2ecross import BlobStore
from e2ecross.errors import BackendError, BlobGone
from e2ecross.relay import FolderBlobs
from tests.relay.blob_support import blob_id, content
from tests.relay.support import ANA, token
from tests.support.lying_blobs import READ_LIES, STORED_LIES, BlobCall, LyingBlobs, fails_at

DATA = content(100)
KEY = token(ANA)


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[FolderBlobs]:
    with FolderBlobs(tmp_path / "files") as store:
        for number in (1, 2):
            store.begin_blob(ANA, KEY, blob_id(number), 100)
            store.put_blob(ANA, KEY, blob_id(number), 0, content(100, "other" * (number - 1)))
        yield store


def test_without_a_lie_it_is_the_store_and_records(inner: FolderBlobs) -> None:
    store: BlobStore = LyingBlobs(inner)
    assert isinstance(store, LyingBlobs)
    assert store.begin_blob(ANA, KEY, blob_id(3), 100) == 0
    assert store.put_blob(ANA, KEY, blob_id(3), 0, DATA[:60]) == 60
    with pytest.raises(BlobGone):
        store.get_blob(blob_id(3), 0, 1)
    assert store.get_blob(blob_id(1), 7, 5) == DATA[7:12]
    store.delete_blob(ANA, KEY, blob_id(3))
    assert store.calls == [
        BlobCall("begin_blob", blob_id(3), 0, 100),
        BlobCall("put_blob", blob_id(3), 0, 60),
        BlobCall("get_blob", blob_id(3), 0, 1),
        BlobCall("get_blob", blob_id(1), 7, 5),
        BlobCall("delete_blob", blob_id(3), 0, 0),
    ]


@pytest.mark.parametrize("name", READ_LIES)
def test_every_answer_is_wrong(inner: FolderBlobs, name: str) -> None:
    store = LyingBlobs(inner, reads=READ_LIES[name])
    for offset, length in ((0, 100), (0, 10), (50, 10), (90, 10), (1, 99), (99, 1)):
        assert store.get_blob(blob_id(1), offset, length) != DATA[offset : offset + length]
    with pytest.raises(BlobGone):
        LyingBlobs(inner, reads=READ_LIES["half"]).get_blob(blob_id(9), 0, 1)


@pytest.mark.parametrize("name", STORED_LIES)
def test_what_is_there_is_told_otherwise(inner: FolderBlobs, name: str) -> None:
    store = LyingBlobs(inner, stored=STORED_LIES[name])
    answers: list[object] = [
        store.begin_blob(ANA, KEY, blob_id(3), 100),
        store.put_blob(ANA, KEY, blob_id(3), 0, DATA[:50]),
        store.put_blob(ANA, KEY, blob_id(3), 50, DATA[50:]),
    ]
    assert answers != [0, 50, 100]
    assert inner.get_blob(blob_id(3), 0, 100) == DATA  # whatever it says


def test_another_blob_is_read(inner: FolderBlobs) -> None:
    store = LyingBlobs(inner, swaps={blob_id(1): blob_id(2)})
    assert store.get_blob(blob_id(1), 0, 100) == content(100, "other")


def test_a_call_fails_before_or_after_its_work(inner: FolderBlobs) -> None:
    store = LyingBlobs(inner, before=fails_at(2, method="put_blob"))
    store.begin_blob(ANA, KEY, blob_id(3), 100)
    store.put_blob(ANA, KEY, blob_id(3), 0, DATA[:50])
    with pytest.raises(BackendError, match="try again"):
        store.put_blob(ANA, KEY, blob_id(3), 50, DATA[50:])
    assert store.begin_blob(ANA, KEY, blob_id(3), 100) == 50
    store = LyingBlobs(inner, after=fails_at(1, BlobGone("lost")))
    with pytest.raises(BlobGone):
        store.put_blob(ANA, KEY, blob_id(3), 50, DATA[50:])
    assert store.begin_blob(ANA, KEY, blob_id(3), 100) == 100


def test_a_slow_one_moves_a_clock(inner: FolderBlobs) -> None:
    times: list[int] = []
    store = LyingBlobs(inner, before=lambda number, call: times.append(number * call.length))
    store.get_blob(blob_id(1), 0, 10)
    store.get_blob(blob_id(1), 0, 20)
    assert times == [10, 40]
