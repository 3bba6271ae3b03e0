# SPDX-License-Identifier: Apache-2.0
"""The rules of files, one by one, of a relay and of a folder alike (attachments.md 8)."""

import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from e2ecross import BlobStore
from e2ecross.errors import BackendError, InvalidArgument
from e2ecross.relay import FolderBlobs
from e2ecross.wire.exchange import MAX_BLOB_PIECE_BYTES
from tests.relay.blob_support import (
    ANAS_TABLET,
    DATA,
    LIMITS,
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
from tests.relay.support import ANA, BUDI, token


def test_both_are_such_a_store(store: AnyStore) -> None:
    checked: BlobStore = store
    assert checked is store


# --- The way of a file --------------------------------------------------------------------------


def test_what_was_put_is_read_in_any_range(store: AnyStore) -> None:
    upload(store, 1, DATA)
    for offset in (0, 1, 350, 699):
        for length in (1, 2, 350, 699, 700):
            if offset + length <= 700:
                assert get(store, 1, offset, length) == DATA[offset : offset + length]


def test_pieces_are_put_one_after_the_other(store: AnyStore) -> None:
    assert begin(store, 1, 700) == 0
    for offset in range(0, 700, 100):
        assert begin(store, 1, 700) == offset
        assert put(store, 1, offset, DATA[offset : offset + 100]) == offset + 100
    assert get(store, 1, 0, 700) == DATA


def test_every_call_may_be_repeated(place: Place, store: AnyStore) -> None:
    assert [begin(store, 1, 700) for _ in range(3)] == [0, 0, 0]
    assert [put(store, 1, 0, DATA[:300]) for _ in range(3)] == [300, 300, 300]
    assert [put(store, 1, 300, DATA[300:]) for _ in range(3)] == [700, 700, 700]
    rows = place.rows()
    place.clock.now_ms += 10  # also later: it is kept for no longer
    assert [begin(store, 1, 700) for _ in range(2)] == [700, 700]
    assert put(store, 1, 0, DATA[:300]) == 700
    assert place.rows() == rows
    assert [get(store, 1, 5, 100) for _ in range(2)] == [DATA[5:105]] * 2
    for _ in range(3):
        delete(store, 1)
    assert place.rows() == []
    assert place.files() == []


def test_what_is_there_already_is_not_looked_at(store: AnyStore) -> None:
    begin(store, 1, 700)
    put(store, 1, 0, DATA[:300])
    assert put(store, 1, 0, bytes(200)) == 300
    assert put(store, 1, 100, bytes(200) + DATA[300:400]) == 400
    assert put(store, 1, 400, DATA[400:]) == 700
    assert put(store, 1, 0, bytes(700)) == 700
    assert get(store, 1, 0, 700) == DATA


def test_all_devices_of_an_account_write_one_blob(store: AnyStore) -> None:
    begin(store, 1, 700)
    put(store, 1, 0, DATA[:300], ANAS_TABLET)
    assert begin(store, 1, 700, ANAS_TABLET) == 300
    put(store, 1, 300, DATA[300:])
    assert get(store, 1, 0, 700) == DATA
    delete(store, 1, ANAS_TABLET)
    gone(lambda: get(store, 1, 0, 1))


def test_blobs_do_not_mix(store: AnyStore) -> None:
    for number, who in ((1, ANA), (2, BUDI), (3, ANA)):
        upload(store, number, content(200 + number, f"{number}"), who)
    for number in (1, 2, 3):
        assert get(store, number, 0, 200 + number) == content(200 + number, f"{number}")


def test_it_is_there_after_closing(place: Place) -> None:
    with place.open() as store:
        upload(store, 1, DATA)
        begin(store, 2, 700)
        put(store, 2, 0, DATA[:300])
    with place.open() as store:
        assert get(store, 1, 0, 700) == DATA
        assert begin(store, 2, 700) == 300
        put(store, 2, 300, DATA[300:])
        assert get(store, 2, 0, 700) == DATA
    with pytest.raises(BackendError, match="has been closed"):
        get(store, 1, 0, 700)


def test_no_id_is_kept_and_nobody_else_reads_the_folder(place: Place, store: AnyStore) -> None:
    upload(store, 1, DATA)
    begin(store, 2, 700)
    put(store, 2, 0, DATA[:300])
    assert place.files() == sorted([place.file(1), place.part(2)])
    everything = b"".join(path.read_bytes() for path in place.database.parent.glob("*.db*"))
    for number in (1, 2):
        assert blob_id(number) not in everything
        assert blob_id(number).hex() not in " ".join(map(str, place.folder.iterdir()))
    if sys.platform != "win32":
        assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in place.files()} == {0o600}


# --- What is refused ----------------------------------------------------------------------------


def test_another_size_or_account_is_refused(place: Place, store: AnyStore) -> None:
    begin(store, 1, 700)
    for stored in (0, 300, 700):
        if stored:
            put(store, 1, 0, DATA[:stored])
        rows = place.rows()
        for call in (
            lambda: begin(store, 1, 699),
            lambda: begin(store, 1, 701),
            lambda: begin(store, 1, 700, BUDI),
        ):
            refused(call, "another account or with another size")
        assert place.rows() == rows
    assert get(store, 1, 0, 700) == DATA


def test_a_size_has_its_bounds(place: Place, store: AnyStore) -> None:
    refused(lambda: begin(store, 1, 0), "takes 1 to 1000")
    refused(lambda: begin(store, 1, 1_001), "takes 1 to 1000")
    refused(lambda: begin(store, 1, 2**63 - 1))
    assert place.rows() == []
    upload(store, 1, b"x")
    upload(store, 2, content(1_000))
    assert get(store, 1, 0, 1) == b"x"


def test_a_gap_or_too_much_is_refused(place: Place, store: AnyStore) -> None:
    begin(store, 1, 700)
    refused(lambda: put(store, 1, 1, b"x"), "go on where it stands")
    put(store, 1, 0, DATA[:300])
    rows = place.rows()
    for offset, data in (
        (301, b"x"),
        (300, DATA[300:] + b"x"),
        (0, DATA + b"x"),
        (700, b"x"),
        (2**63 - 1, b"x"),
    ):
        refused(partial(put, store, 1, offset, data))
    assert place.rows() == rows
    assert place.part(1).read_bytes() == DATA[:300]
    put(store, 1, 300, DATA[300:])
    refused(lambda: put(store, 1, 700, b"x"))
    refused(lambda: put(store, 1, 0, DATA + b"x"))
    assert get(store, 1, 0, 700) == DATA


def test_a_piece_has_its_bounds(tmp_path: Path) -> None:
    with FolderBlobs(tmp_path / "files") as store:
        most = MAX_BLOB_PIECE_BYTES
        begin(store, 1, 2 * most)
        refused(lambda: put(store, 1, 0, b""), "takes 1 to 4194304")
        refused(lambda: put(store, 1, 0, bytes(most + 1)), "takes 1 to 4194304")
        assert put(store, 1, 0, bytes(most)) == most
        assert put(store, 1, most, b"\1" * most) == 2 * most
        refused(lambda: get(store, 1, 0, 0), "takes 1 to 4194304")
        refused(lambda: get(store, 1, 0, most + 1), "takes 1 to 4194304")
        assert get(store, 1, most - 1, most) == b"\0" + b"\1" * (most - 1)


def test_a_range_has_to_be_inside(store: AnyStore) -> None:
    upload(store, 1, DATA)
    assert get(store, 1, 699, 1) == DATA[699:]
    for offset, length in ((700, 1), (699, 2), (0, 701), (2**63 - 1, 1)):
        refused(partial(get, store, 1, offset, length), "of a file of")


def test_nothing_is_put_that_was_not_begun_by_the_account(place: Place, store: AnyStore) -> None:
    unknown = gone(lambda: put(store, 1, 0, b"x"))
    begin(store, 1, 700)
    assert gone(lambda: put(store, 1, 0, b"x", BUDI)) == unknown
    assert place.rows()[0][3] == 0
    upload(store, 2, DATA)
    assert gone(lambda: put(store, 2, 0, DATA, BUDI)) == unknown


def test_all_that_cannot_be_read_looks_alike(place: Place, store: AnyStore) -> None:
    upload(store, 2, DATA)
    delete(store, 2)
    upload(store, 3, DATA)
    place.clock.now_ms += LIMITS.blob_kept_ms
    begin(store, 4, 700)
    begin(store, 5, 700)
    put(store, 5, 0, DATA[:699])
    # Never begun, deleted, expired, begun, one byte short; whatever the range.
    ranges = ((0, 1), (0, 700), (699, 1), (700, 1), (2**40, 5))
    texts = {gone(partial(get, store, n, *r)) for n in (1, 2, 3, 4, 5) for r in ranges}
    assert len(texts) == 1


def test_only_the_account_deletes(place: Place, store: AnyStore) -> None:
    upload(store, 1, DATA)
    begin(store, 2, 700)
    put(store, 2, 0, DATA[:300])
    for number in (1, 2, 3):
        delete(store, number, BUDI)
    assert get(store, 1, 0, 700) == DATA
    assert begin(store, 2, 700) == 300
    for number in (1, 2, 3):
        delete(store, number)
    gone(lambda: get(store, 1, 0, 1))
    gone(lambda: put(store, 2, 300, b"x"))
    assert place.files() == []
    upload(store, 1, content(10), BUDI)  # a name that is free again
    assert get(store, 1, 0, 10) == content(10)


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.begin_blob("whatsapp:ana.1", token(ANA), blob_id(1), 1),
        lambda store: store.begin_blob(ANA, b"short", blob_id(1), 1),
        lambda store: store.begin_blob(ANA, token(ANA), blob_id(1)[:31], 1),
        lambda store: store.begin_blob(ANA, token(ANA), blob_id(1), -1),
        lambda store: store.begin_blob(ANA, token(ANA), blob_id(1), 1.0),
        lambda store: store.begin_blob(ANA, token(ANA), blob_id(1), 2**63),
        lambda store: store.put_blob(None, token(ANA), blob_id(1), 0, b"x"),
        lambda store: store.put_blob(ANA, token(ANA) + b"x", blob_id(1), 0, b"x"),
        lambda store: store.put_blob(ANA, token(ANA), "1" * 32, 0, b"x"),
        lambda store: store.put_blob(ANA, token(ANA), blob_id(1), -1, b"x"),
        lambda store: store.put_blob(ANA, token(ANA), blob_id(1), 2**63, b"x"),
        lambda store: store.put_blob(ANA, token(ANA), blob_id(1), 0, bytearray(b"x")),
        lambda store: store.get_blob(blob_id(1) + b"x", 0, 1),
        lambda store: store.get_blob(blob_id(1), -1, 1),
        lambda store: store.get_blob(blob_id(1), 0, -1),
        lambda store: store.get_blob(blob_id(1), 0, True),
        lambda store: store.delete_blob(ANA.user_id, token(ANA), blob_id(1)),
        lambda store: store.delete_blob(ANA, None, blob_id(1)),
        lambda store: store.delete_blob(ANA, token(ANA), b""),
    ],
)
def test_what_no_store_could_take_is_a_mistake_of_the_caller(
    place: Place, store: AnyStore, call: Callable[[AnyStore], object]
) -> None:
    with pytest.raises(InvalidArgument):
        call(store)
    assert place.rows() == []
