# SPDX-License-Identifier: Apache-2.0
"""How much an account may have of files, and for how long; and who is asked for a token."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import InvalidArgument, NotRegistered
from e2ecross.relay import FolderBlobs, Relay, RelayLimits
from tests.relay.blob_support import (
    ANAS_TABLET,
    DATA,
    LIMITS,
    PLACES,
    AnyStore,
    Place,
    begin,
    blob_id,
    content,
    delete,
    get,
    gone,
    put,
    refused,
    upload,
)
from tests.relay.support import ANA, BUDI, TOKO, digest, token


def test_an_account_has_so_many_bytes_as_begun(store: AnyStore) -> None:
    begin(store, 1, 1_000)
    begin(store, 2, 1_000, ANAS_TABLET)
    refused(lambda: begin(store, 3, 501), "delete some, or wait")
    assert begin(store, 3, 500) == 0
    refused(lambda: begin(store, 4, 1), "has 3 files of 2500 bytes")
    assert begin(store, 3, 500) == 0  # a repetition takes no more
    assert begin(store, 4, 1_000, BUDI) == 0  # others have their own
    delete(store, 2)
    assert begin(store, 5, 1_000) == 0
    refused(lambda: begin(store, 6, 1))


def test_an_account_has_so_many_blobs(store: AnyStore) -> None:
    for number in range(LIMITS.blobs_per_user):
        begin(store, number, 1)
    refused(lambda: begin(store, 5, 1), "has 5 files")
    delete(store, 0)
    begin(store, 5, 1)
    begin(store, 6, 1, TOKO)


def test_what_has_expired_is_not_counted(place: Place, store: AnyStore) -> None:
    upload(store, 1, content(1_000))
    begin(store, 2, 1_000)
    refused(lambda: begin(store, 3, 501))
    place.clock.now_ms += LIMITS.blob_part_kept_ms
    begin(store, 3, 501)  # the part is gone
    refused(lambda: begin(store, 4, 1_000))
    place.clock.now_ms += LIMITS.blob_kept_ms - LIMITS.blob_part_kept_ms
    begin(store, 4, 1_000)
    assert [row[2] for row in place.rows()] == [1_000]


def test_a_part_has_so_long_from_when_it_was_begun(place: Place, store: AnyStore) -> None:
    begin(store, 1, 700)
    place.clock.now_ms += LIMITS.blob_part_kept_ms - 1
    assert put(store, 1, 0, DATA[:300]) == 300
    assert begin(store, 1, 700) == 300  # neither makes it longer
    place.clock.now_ms += 1
    gone(lambda: put(store, 1, 300, DATA[300:]))
    assert begin(store, 1, 700) == 0
    assert place.files() == []
    put(store, 1, 0, DATA)
    assert get(store, 1, 0, 700) == DATA


def test_a_blob_has_so_long_from_when_it_is_complete(place: Place, store: AnyStore) -> None:
    begin(store, 1, 700)
    place.clock.now_ms += 50
    put(store, 1, 0, DATA)
    place.clock.now_ms += LIMITS.blob_kept_ms - 1
    assert get(store, 1, 0, 700) == DATA
    assert put(store, 1, 0, DATA) == begin(store, 1, 700) == 700
    place.clock.now_ms += 1
    gone(lambda: get(store, 1, 0, 700))
    gone(lambda: put(store, 1, 0, DATA))
    assert place.files() == [place.file(1)]
    begin(store, 2, 1, BUDI)  # anybody's next one
    assert place.files() == []


def test_another_account_may_take_the_name_of_an_expired_one(place: Place, store: AnyStore) -> None:
    upload(store, 1, DATA)
    place.clock.now_ms += LIMITS.blob_kept_ms
    upload(store, 1, content(30), BUDI)
    delete(store, 1, ANA)
    assert get(store, 1, 0, 30) == content(30)


def test_at_most_a_hundred_expired_ones_go_with_one_call(place: Place) -> None:
    place.limits = RelayLimits(blob_part_kept_ms=100)
    with place.open() as store:
        for number in range(250):
            begin(store, number, 1)
            if number % 50 == 0:
                put(store, number, 0, b"x")  # which is complete, and so kept
            place.clock.now_ms += number == 99  # the first hundred end first
        first_ends = min(row[4] for row in place.rows())
        place.clock.now_ms += 100
        for left in (245 - 100 + 1, 245 - 200 + 2, 3):
            begin(store, 1_000 + left, 1, BUDI)
            assert len(place.rows()) == 5 + left
            assert first_ends not in [row[4] for row in place.rows()]
        assert len(place.files()) == 5


def test_expired_ones_that_are_still_there_are_not_counted(place: Place) -> None:
    place.limits = RelayLimits(blob_part_kept_ms=100, blobs_per_user=150, blobs_per_user_bytes=1500)
    with place.open() as store:
        for number in range(150):
            begin(store, number, 10)
        refused(lambda: begin(store, 150, 1))
        place.clock.now_ms += 100
        assert begin(store, 150, 1_500) == 0
        assert len(place.rows()) == 51


def test_one_that_has_expired_is_begun_anew_also_if_more_go_first(place: Place) -> None:
    place.limits = RelayLimits(blob_part_kept_ms=1_000, blobs_per_user=102)
    with place.open() as store:
        for number in range(102):
            begin(store, number, 10)
            put(store, number, 0, b"12345")
            place.clock.now_ms += 1
        place.clock.now_ms += 1_000
        assert begin(store, 101, 20, BUDI) == 0  # not of the first hundred
        assert not place.part(101).exists()
        assert put(store, 101, 0, b"x" * 20, BUDI) == 20
        assert get(store, 101, 0, 20) == b"x" * 20
        assert not place.part(101).exists()


def test_the_defaults() -> None:
    limits = RelayLimits()
    assert limits.blob_bytes == 4 * 2**30
    assert limits.blobs_per_user_bytes == 16 * 2**30
    assert limits.blob_kept_ms == 45 * 24 * 60 * 60 * 1000
    assert limits.blob_part_kept_ms == 2 * 24 * 60 * 60 * 1000


# --- Tokens, and no folder ----------------------------------------------------------------------

WITH_TOKEN: dict[str, Callable[[Relay | FolderBlobs, Address, bytes], object]] = {
    "begin_blob": lambda store, who, key: store.begin_blob(who, key, blob_id(1), 700),
    "put_blob": lambda store, who, key: store.put_blob(who, key, blob_id(1), 0, DATA),
    "delete_blob": lambda store, who, key: store.delete_blob(who, key, blob_id(1)),
}


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_a_relay_asks_for_the_token(tmp_path: Path, name: str) -> None:
    place = PLACES["Relay"](tmp_path)
    with place.open() as store:
        begin(store, 1, 700)
        rows = place.rows()
        for who, key in ((ANA, token(BUDI)), (BUDI, token(ANA)), (Address("x", "y"), token(ANA))):
            with pytest.raises(NotRegistered):
                WITH_TOKEN[name](store, who, key)
        assert place.rows() == rows
        WITH_TOKEN[name](store, ANA, token(ANA))


def test_a_folder_takes_any_token(tmp_path: Path) -> None:
    place = PLACES["FolderBlobs"](tmp_path)
    with place.open() as store:
        for name, call in WITH_TOKEN.items():
            call(store, Address("x", "somebody"), digest(name))
        assert place.rows() == []


def test_a_relay_without_a_folder_keeps_no_files(tmp_path: Path) -> None:
    with Relay(tmp_path / "relay.db") as relay:
        relay.register(ANA, token(ANA))
        for call in WITH_TOKEN.values():
            refused(partial(call, relay, ANA, token(ANA)), "^this relay keeps no files$")
        refused(lambda: relay.get_blob(blob_id(1), 0, 1), "^this relay keeps no files$")
        assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_folder_has_a_name(tmp_path: Path) -> None:
    for wrong in (7, "", b"files", "a\0b"):
        with pytest.raises(InvalidArgument, match="blob_dir"):
            Relay(tmp_path / "relay.db", blob_dir=wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="folder"):
            FolderBlobs(wrong)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_threads_share_a_store(store: AnyStore) -> None:
    begin(store, 1, 700)

    def work(step: int) -> None:
        for offset in range(0, 700, step):
            put(store, 1, offset, DATA[offset : offset + step])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, (10, 14, 20, 35)))
    assert get(store, 1, 0, 700) == DATA
