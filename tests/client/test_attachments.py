# SPDX-License-Identifier: Apache-2.0
"""Files beside messages: uploaded and fetched with interruptions, read in any range."""

import errno
import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import Any, cast

import pytest

from e2ecross import (
    Address,
    Attachment,
    AttachmentFile,
    Client,
    Device,
    Media,
    Message,
    Policy,
    Text,
    Timeline,
    Upload,
)
from e2ecross.client.blob_store import BlobStore
from e2ecross.errors import (
    AttachmentCorrupted,
    AttachmentTooLarge,
    BackendError,
    BackendRefused,
    BlobGone,
    InvalidArgument,
    RecordCorrupted,
    StoreBusy,
    StoreError,
)
from e2ecross.relay import FolderBlobs, Relay
from e2ecross.stores import MemoryStore, Store, Table
from tests.client.conversation import damage, store_of
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    EVERYTHING,
    TOKO,
    BackendSimulator,
    FakeClock,
    SpyStore,
    make_device,
    reopen_device,
)
from tests.support.pairing import LinkScene
from tests.support.watched_blobs import WatchedBlobs

KIB = 1024


class World:
    """Ana sends files to Budi; both know each other."""

    def __init__(self, folder: Path, policy: Policy | None = None) -> None:
        self.folder, self.clock, self.backend = folder, FakeClock(), BackendSimulator()
        self.blobs = WatchedBlobs(FolderBlobs(folder / "blobs", clock=self.clock))
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.policy = policy or Policy(capabilities=EVERYTHING)
        self.store = SpyStore(MemoryStore())
        self.ana, self.budi = self.client(ANA, self.store), self.client(BUDI)
        self.ana.accept(str(BUDI.user_id))
        self.budi.accept(str(ANA.user_id))

    def client(self, address: Address, store: Store | None = None) -> Client:
        device = make_device(address, store, clock=self.clock, policy=self.policy)
        client = Client(device, self.backend, blobs=self.blobs, spool_dir=self.spool)
        client.register()
        return client

    def restarted(self) -> Client:
        """Ana's app after a restart."""
        device = reopen_device(self.ana.device, self.store, "restarted")
        return Client(device, self.backend, blobs=self.blobs, spool_dir=self.spool)

    def file(self, size: int, name: str = "photo.png") -> Path:
        path = self.folder / name
        path.write_bytes(hashlib.shake_256(name.encode()).digest(size))
        return path

    def sent(self, size: int) -> Attachment:
        """What Budi is told of a file that Ana has sent."""
        upload = self.ana.upload(self.file(size))
        upload.run()
        self.ana.send(str(BUDI.user_id), Media(upload.attachment))
        return attachment_of(self.receive())

    def receive(self) -> Message:
        (message,) = [each for each in self.budi.receive() if isinstance(each, Message)]
        self.budi.confirm([message])
        self.blobs.calls.clear()
        return message

    def fetched(self) -> list[tuple[int, ...]]:
        """Offset and length of what was fetched since the last time."""
        found = [call.numbers for call in self.blobs.calls if call.name == "get_blob"]
        self.blobs.calls.clear()
        return found

    def spooled(self) -> list[str]:
        return sorted(os.listdir(self.spool))


def attachment_of(message: Message) -> Attachment:
    assert isinstance(message.content, Media)
    return message.content.attachment


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def part_of(attachment: Attachment, path: Path) -> Path:
    return path.with_name(f"{path.name}.part-{attachment.root[:8].hex()}")


# --- There and back -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4096, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 700 * KIB + 7])
def test_a_file_arrives_as_it_was(world: World, size: int) -> None:
    attachment, got = world.sent(size), world.folder / "got.png"
    done: list[tuple[int, int]] = []
    world.budi.download(attachment, got, progress=lambda *told: done.append(told))
    assert got.read_bytes() == world.file(size).read_bytes()
    assert got.stat().st_mode & 0o777 == 0o600
    assert not size or done[-1] == (size, size)
    assert [here for here, _ in done] == sorted({here for here, _ in done})
    assert sorted(os.listdir(world.folder)) == ["blobs", "got.png", "photo.png", "spool"]
    assert not world.spooled()


def test_what_is_shown_travels_with_it_and_nothing_by_itself(world: World) -> None:
    shown: dict[str, Any] = {"media_type": "image/png", "name": "a.png", "width": 3, "height": 4}
    upload = world.ana.upload(str(world.file(10)), **shown)
    assert {name: getattr(upload.attachment, name) for name in shown} == shown
    assert upload.attachment.size == 10
    assert world.ana.upload(world.file(10)).attachment.name == ""


def test_both_sides_are_told_of_progress(world: World) -> None:
    upload = world.ana.upload(world.file(2000 * KIB))
    told: list[tuple[int, int]] = []
    upload.run(lambda *numbers: told.append(numbers))
    size = upload.attachment.blob_size
    assert told == [(256 * KIB, size), (768 * KIB, size), (1792 * KIB, size), (size, size)]
    upload.run(lambda *_: pytest.fail("it is complete"))


def test_a_relay_with_a_folder_keeps_files(tmp_path: Path) -> None:
    relay = Relay(tmp_path / "relay.db", blob_dir=tmp_path / "blobs")
    ana, budi = (Client(make_device(address), relay, spool_dir=tmp_path) for address in (ANA, BUDI))
    ana.register()
    budi.register()
    path = tmp_path / "photo.png"
    path.write_bytes(bytes(range(256)))
    upload = ana.upload(path)
    upload.run()
    budi.download(upload.attachment, tmp_path / "got.png")
    assert (tmp_path / "got.png").read_bytes() == bytes(range(256))


def test_without_a_blob_store_there_are_no_files(tmp_path: Path) -> None:
    ana = Client(make_device(ANA), BackendSimulator())
    ana.register()
    attachment = Attachment(bytes(32), 1, 16, bytes(32), bytes(32))
    for call in (
        lambda: ana.upload(tmp_path / "photo.png"),
        lambda: ana.uploads(),
        lambda: ana.download(attachment, tmp_path / "got.png"),
        lambda: ana.open_attachment(attachment),
    ):
        with pytest.raises(BackendRefused, match="blob store"):
            call()


def test_a_blob_store_has_its_methods() -> None:
    class Async(WatchedBlobs):
        async def get_blob(self, blob_id: bytes, offset: int, length: int) -> bytes:  # type: ignore[override]
            return b""

    device = make_device(ANA)
    for wrong in (object(), BackendSimulator(), Async(cast("BlobStore", None))):
        with pytest.raises(InvalidArgument, match="blobs must"):
            Client(device, BackendSimulator(), blobs=cast("BlobStore", wrong))


# --- Uploads ------------------------------------------------------------------------------------


def test_a_file_is_sent_once_all_of_it_is_there(world: World) -> None:
    upload = world.ana.upload(world.file(100))
    with pytest.raises(InvalidArgument, match="not uploaded yet"):
        world.ana.send(str(BUDI.user_id), Media(upload.attachment))
    assert world.budi.receive() == []
    upload.run()
    world.ana.send(str(BUDI.user_id), Media(upload.attachment))
    assert attachment_of(world.receive()) == upload.attachment


def test_an_interrupted_upload_goes_on_where_it_stood(world: World) -> None:
    upload = world.ana.upload(world.file(2000 * KIB))
    world.blobs.fail("put_blob", BackendError("away"), after=2)
    with pytest.raises(BackendError, match="away"):
        upload.run()
    assert not upload.complete
    (again,) = world.restarted().uploads()
    assert (again.complete, again.created_at_ms) == (False, world.clock())
    world.blobs.calls.clear()
    again.run()
    pieces = [call.numbers for call in world.blobs.calls if call.name == "put_blob"]
    assert pieces[0] == (768 * KIB, 256 * KIB)
    assert again.complete
    upload.run()  # the object of before finds that nothing is left to do
    assert upload.complete
    world.budi.download(again.attachment, world.folder / "got")
    assert (world.folder / "got").read_bytes() == world.file(2000 * KIB).read_bytes()


def test_pieces_shrink_when_one_is_lost_and_grow_only_while_they_are_quick(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = world.ana.upload(world.file(3000 * KIB))
    for _ in range(4):
        world.blobs.fail("put_blob", BackendError("away"))
        with pytest.raises(BackendError):
            upload.run()
    seconds = FakeClock(0)
    monkeypatch.setattr("e2ecross.client.uploads.time.monotonic", lambda: seconds() / 1000)
    world.blobs.before_put = lambda: seconds.advance(2_001)
    world.blobs.fail("put_blob", BackendError("away"), after=1)
    with pytest.raises(BackendError):
        upload.run()
    world.blobs.before_put = lambda: seconds.advance(1_900)
    upload.run()
    pieces = [call.numbers[1] // KIB for call in world.blobs.calls if call.name == "put_blob"]
    assert pieces[:9] == [256, 128, 64, 64, 64, 64, 64, 128, 256]


def test_what_was_sent_is_what_the_file_was_when_it_was_encrypted(world: World) -> None:
    path = world.file(300 * KIB)
    before = path.read_bytes()
    upload = world.ana.upload(path)
    world.blobs.fail("put_blob", BackendError("away"), after=1)
    with pytest.raises(BackendError):
        upload.run()
    path.write_bytes(b"another")
    upload.run()
    with world.budi.open_attachment(upload.attachment) as file:
        assert file.read() == before


def test_a_file_that_changes_while_it_is_read_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, stat = world.file(100), os.stat
    for size in (99, 101):

        def lies(path: str, *, size: int = size) -> os.stat_result:
            found = list(stat(path))
            found[6] = size
            return os.stat_result(found)

        monkeypatch.setattr("e2ecross.client.uploads.os.stat", lies)
        with pytest.raises(InvalidArgument, match="bytes of size"):
            world.ana.upload(path)
    monkeypatch.undo()
    assert not world.spooled()
    assert world.ana.uploads() == []


def test_what_cannot_be_read_is_the_callers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(world.folder / "pipe")
    for wrong in (world.folder / "none", world.folder, world.folder / "pipe", "", b"x", 7, "a\0b"):
        with pytest.raises(InvalidArgument, match="path"):
            world.ana.upload(cast("str", wrong))
    for shown in ({"media_type": "PNG"}, {"name": "../x"}, {"width": -1}, {"thumbnail": b"GIF"}):
        with pytest.raises(InvalidArgument):
            world.ana.upload(world.file(3), **cast("dict[str, Any]", shown))
    path, upload = world.file(3), world.ana.upload(world.file(3))
    monkeypatch.setattr("e2ecross.client.uploads.open", _Broken, raising=False)
    with pytest.raises(InvalidArgument, match="Input/output error"):
        world.ana.upload(path)
    with pytest.raises(InvalidArgument, match="progress"):
        upload.run(cast("Any", 7))
    assert len(world.spooled()) == 1


class _Broken(io.BytesIO):
    def __init__(self, *_: object) -> None:
        super().__init__()

    def read(self, _: int | None = -1) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_full_disk_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = world.file(100)
    monkeypatch.setattr("e2ecross.client.spool.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        world.ana.upload(path)
    monkeypatch.undo()
    world.store.fail_commit = True
    with pytest.raises(StoreError, match="commit"):
        world.ana.upload(path)
    world.store.fail_commit = False
    assert not world.spooled()
    world.spool.rmdir()
    with pytest.raises(StoreError, match="spool folder"):
        world.ana.upload(path)
    world.ana.maintain()


def test_a_spool_is_on_disk_before_its_upload_is_noted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed, fsync = [], os.fsync

    def note(number: int) -> None:
        is_noted = any(each.table is Table.UPLOADS for each in world.store.operations)
        flushed.append((os.fstat(number).st_size, is_noted))
        fsync(number)

    world.store.operations.clear()
    monkeypatch.setattr("e2ecross.client.spool.os.fsync", note)
    upload = world.ana.upload(world.file(100 * KIB))
    assert flushed[0] == (upload.attachment.blob_size, False)
    assert [is_noted for _, is_noted in flushed] == [False, False]  # the folder, too


def test_a_spool_shows_nothing_and_only_to_its_user(world: World) -> None:
    path = world.file(100 * KIB)
    upload = world.ana.upload(path)
    (name,) = world.spooled()
    blob = (world.spool / name).read_bytes()
    assert (world.spool / name).stat().st_mode & 0o777 == 0o600
    assert len(blob) == upload.attachment.blob_size
    assert path.read_bytes()[:64] not in blob
    assert "ana" not in name


@pytest.mark.parametrize("answer", [-1, 10**9, "1", 1.5, True, b"1"])
@pytest.mark.parametrize("name", ["begin_blob", "put_blob"])
def test_counts_that_cannot_be_are_refused(world: World, name: str, answer: object) -> None:
    upload = world.ana.upload(world.file(100))
    world.blobs.answer(name, answer)
    with pytest.raises(BackendError, match="something else"):
        upload.run()
    world.blobs.honest()
    upload.run()
    assert upload.complete


def test_a_store_that_takes_nothing_is_not_asked_for_ever(world: World) -> None:
    upload = world.ana.upload(world.file(600 * KIB))
    world.blobs.answer("put_blob", 256 * KIB)
    with pytest.raises(BackendError, match="taken nothing"):
        upload.run()
    assert [call.numbers[0] for call in world.blobs.calls][1:] == [0, 256 * KIB]


def test_an_awaitable_is_no_answer(world: World) -> None:
    async def later() -> int:
        return 0

    upload = world.ana.upload(world.file(100))
    world.blobs.answer("begin_blob", later())
    with pytest.raises(BackendError, match="something else"):
        upload.run()
    world.blobs.honest()
    world.blobs.answer("delete_blob", later())
    with pytest.raises(BackendError, match="something else"):
        upload.cancel()


def test_what_progress_raises_ends_the_call_and_no_more(world: World) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    upload = world.ana.upload(world.file(600 * KIB))
    with pytest.raises(KeyboardInterrupt):
        upload.run(stop)
    upload.run()
    got = world.folder / "got"
    with pytest.raises(KeyboardInterrupt):
        world.budi.download(upload.attachment, got, stop)
    assert not got.exists()
    assert part_of(upload.attachment, got).stat().st_size == 512 * KIB
    world.budi.download(upload.attachment, got)
    assert got.read_bytes() == world.file(600 * KIB).read_bytes()


def test_a_spool_that_is_gone_or_cut_is_told(world: World) -> None:
    upload = world.ana.upload(world.file(300 * KIB))
    (name,) = world.spooled()
    os.truncate(world.spool / name, 1000)
    with pytest.raises(InvalidArgument, match="was cut"):
        upload.run()
    (world.spool / name).unlink()
    with pytest.raises(InvalidArgument, match="is gone"):
        upload.run()
    upload.cancel()
    assert world.ana.uploads() == []


def test_a_store_that_has_given_up_a_part_gets_it_from_the_beginning(world: World) -> None:
    upload = world.ana.upload(world.file(600 * KIB))
    world.blobs.fail("put_blob", BackendError("away"), after=1)
    with pytest.raises(BackendError):
        upload.run()
    world.clock.advance(3 * DAY_MS)
    upload.run()
    world.budi.download(upload.attachment, world.folder / "got")


def test_what_is_cancelled_is_gone_everywhere(world: World) -> None:
    upload = world.ana.upload(world.file(600 * KIB))
    world.blobs.fail("put_blob", BackendError("away"), after=1)
    with pytest.raises(BackendError):
        upload.run()
    world.blobs.fail("delete_blob", BackendError("away"))
    with pytest.raises(BackendError):
        upload.cancel()
    assert len(world.ana.uploads()) == 1
    upload.cancel()
    assert not world.spooled()
    assert world.ana.uploads() == []
    upload.cancel()
    done = world.ana.upload(world.file(100))
    done.run()
    done.cancel()
    with pytest.raises(BlobGone):
        world.budi.download(done.attachment, world.folder / "got")


def test_what_was_cancelled_while_it_ran_is_not_noted(world: World) -> None:
    upload, other = world.ana.upload(world.file(100)), world.restarted()
    world.blobs.before_put = lambda: other.uploads()[0].cancel()
    with pytest.raises(BlobGone):
        upload.run()
    assert world.ana.uploads() == []


def test_a_cancelled_upload_is_not_begun_again(world: World) -> None:
    upload = world.ana.upload(world.file(100))
    (twin,) = world.ana.uploads()
    upload.cancel()
    world.blobs.calls.clear()
    for each in (upload, twin):
        with pytest.raises(InvalidArgument, match="cancelled"):
            each.run()
    assert world.blobs.calls == []


def test_what_was_cancelled_behind_its_last_piece_is_not_complete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, other = world.ana.upload(world.file(100)), world.restarted()

    def cancel(*_: int) -> None:
        other.uploads()[0].cancel()

    with pytest.raises(InvalidArgument, match="cancelled"):
        upload.run(cancel)
    assert not upload.complete


def test_what_another_process_completes_meanwhile_is_complete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, other = world.ana.upload(world.file(600 * KIB)), world.restarted()
    begin = world.blobs.begin_blob

    def slow(address: Address, token: bytes, blob_id: bytes, size: int) -> int:
        found = begin(address, token, blob_id, size)
        monkeypatch.undo()
        other.uploads()[0].run()
        return found

    monkeypatch.setattr(world.blobs, "begin_blob", slow)
    upload.run()
    assert upload.complete
    (twin,) = world.ana.uploads()
    world.blobs.calls.clear()
    twin.run()
    assert world.blobs.calls == []


def test_progress_ends_with_all_also_when_nothing_was_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise StoreError("killed")

    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))

    upload = world.ana.upload(world.file(0))
    monkeypatch.setattr("e2ecross.client.uploads.note_complete", killed)
    with pytest.raises(StoreError):
        upload.run()
    monkeypatch.undo()
    upload.run(progress)
    world.budi.download(upload.attachment, world.folder / "got", progress)
    assert told == [(4128, 4128), (0, 0)]


def test_a_system_without_a_temporary_folder_has_clients(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none)
    client = Client(world.ana.device, world.backend, blobs=world.blobs)
    client.maintain()
    with pytest.raises(StoreError, match="No usable temporary directory"):
        client.upload(world.file(100))
    world.ana.upload(world.file(100))
    client.maintain()
    (upload,) = client.uploads()
    with pytest.raises(InvalidArgument, match="gone"):
        upload.run()
    upload.cancel()


def test_a_program_may_change_its_folder(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    client = Client(world.ana.device, world.backend, blobs=world.blobs, spool_dir="spool")
    upload = client.upload("photo.png" if world.file(100) else "")
    monkeypatch.chdir("/")
    upload.run()
    assert not world.spooled()


def test_a_spool_that_cannot_be_read_is_not_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = world.ana.upload(world.file(100))
    (name,) = world.spooled()
    path = world.spool / name
    path.rename(world.spool / "blob")
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        upload.run()
    path.rmdir()
    (world.spool / "blob").rename(path)
    with monkeypatch.context() as patch:
        patch.setattr("e2ecross.client.spool.Spool.open", lambda *_: BrokenFile())
        with pytest.raises(StoreError, match="cannot be read"):
            upload.run()
    upload.run()


class BrokenFile(io.BytesIO):
    def read(self, _: int | None = None) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_uploads_are_remembered_for_a_week(world: World) -> None:
    first = world.ana.upload(world.file(100, "first"))
    world.clock.advance(1)
    second = world.ana.upload(world.file(100, "second"))
    first.run()
    assert [each.attachment for each in world.ana.uploads()] == [
        first.attachment,
        second.attachment,
    ]
    assert [repr(each) for each in world.ana.uploads()] == [
        "<Upload of 100 bytes: complete>",
        "<Upload of 100 bytes: not complete>",
    ]
    world.clock.advance(7 * DAY_MS)
    world.ana.maintain()
    assert [each.attachment for each in world.ana.uploads()] == [second.attachment]
    world.clock.advance(1)
    world.ana.maintain()
    assert world.ana.uploads() == []
    assert not world.spooled()


def test_what_a_killed_process_left_in_the_folder_goes_after_a_week(world: World) -> None:
    upload = world.ana.upload(world.file(100))
    (name,) = world.spooled()
    old, fresh = name[:-4] + "dead", name[:-5] + "fresh"
    others = ["e2ecross-0000000000000000-dead", "holiday.png"]
    for left in (old, fresh, *others):
        (world.spool / left).write_bytes(b"x")
    for each in world.spooled():
        seconds = world.clock() / 1000 - 7 * 86_400 + (0.5 if each == fresh else -0.5)
        os.utime(world.spool / each, (seconds, seconds))
    world.ana.maintain()
    assert world.spooled() == sorted([name, fresh, *others])
    upload.run()


def test_the_spool_of_a_complete_upload_goes_with_the_next_maintain(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = world.ana.upload(world.file(100))
    monkeypatch.setattr("e2ecross.client.spool.Spool.remove", lambda *_: None)  # killed there
    upload.run()
    monkeypatch.undo()
    assert world.spooled()
    world.ana.maintain()
    assert not world.spooled()
    assert world.ana.uploads()[0].complete


def test_a_damaged_upload_is_told(world: World) -> None:
    world.ana.upload(world.file(100))
    damage(world.ana, Table.UPLOADS)
    with pytest.raises(RecordCorrupted):
        world.ana.uploads()


def test_uploads_are_not_pickled(world: World) -> None:
    upload = world.ana.upload(world.file(100))
    with pytest.raises(TypeError, match="Upload holds a key"):
        pickle.dumps(upload)
    with pytest.raises(TypeError, match="CheckedBlobs"):
        pickle.dumps(world.ana._blobs)
    assert isinstance(upload, Upload)


# --- Downloads ----------------------------------------------------------------------------------


def test_an_interrupted_download_fetches_only_what_is_missing(world: World) -> None:
    attachment, got = world.sent(2000 * KIB), world.folder / "got"
    world.blobs.fail("get_blob", BackendError("away"), after=3)
    with pytest.raises(BackendError, match="away"):
        world.budi.download(attachment, got)
    done = part_of(attachment, got).stat().st_size
    assert done >= 512 * KIB
    world.fetched()
    world.budi.download(attachment, got)
    table, *rest = world.fetched()
    assert table == (attachment.blob_size - attachment.table_size, attachment.table_size)
    assert rest[0][0] == done
    assert got.read_bytes() == world.file(2000 * KIB).read_bytes()


def test_a_part_file_that_somebody_changed_is_found(world: World) -> None:
    attachment, got = world.sent(600 * KIB), world.folder / "got"
    right = world.file(600 * KIB).read_bytes()
    part = part_of(attachment, got)
    for wrong, first in (
        (b"", [0]),
        (bytes(700 * KIB), [0]),
        (right[: 64 * KIB - 1], [0]),
        (right[: 100 * KIB], [64 * KIB]),
        (right[: 128 * KIB] + b"\0" + right[128 * KIB + 1 :], [128 * KIB]),
        (right + b"more", []),
    ):
        part.write_bytes(wrong)
        world.fetched()
        world.budi.download(attachment, got)
        assert got.read_bytes() == right
        assert [offset for offset, _ in world.fetched()[1:]][:1] == first
        got.unlink()


def test_a_part_file_is_no_link_to_another(world: World) -> None:
    attachment, got = world.sent(100), world.folder / "got"
    other = world.file(50, "other")
    part_of(attachment, got).symlink_to(other)
    with pytest.raises(StoreError, match="cannot be written"):
        world.budi.download(attachment, got)
    assert other.stat().st_size == 50


def test_a_file_that_is_there_is_replaced_only_by_a_complete_one(world: World) -> None:
    attachment, got = world.sent(600 * KIB), world.folder / "got"
    got.write_bytes(b"before")
    world.blobs.fail("get_blob", BackendError("away"), after=2)
    with pytest.raises(BackendError):
        world.budi.download(attachment, got)
    assert got.read_bytes() == b"before"
    world.budi.download(attachment, got)
    assert got.stat().st_size == 600 * KIB


def test_a_wrong_chunk_ends_a_download_and_what_came_before_is_right(world: World) -> None:
    attachment, got = world.sent(600 * KIB), world.folder / "got"
    (blob,) = [each for each in (world.folder / "blobs").iterdir() if each.stat().st_size > 600_000]
    data = bytearray(blob.read_bytes())
    data[130 * KIB] ^= 1
    blob.write_bytes(data)
    with pytest.raises(AttachmentCorrupted):
        world.budi.download(attachment, got)
    right = world.file(600 * KIB).read_bytes()
    assert part_of(attachment, got).read_bytes() == right[: 128 * KIB]
    assert not got.exists()
    data[130 * KIB] ^= 1
    blob.write_bytes(data)
    world.budi.download(attachment, got)
    assert got.read_bytes() == right


def test_nothing_is_made_on_disk_for_a_blob_that_is_not_the_file(world: World) -> None:
    attachment, got = world.sent(100), world.folder / "got"
    for answer in (b"short", bytes(attachment.table_size)):
        world.blobs.answer("get_blob", answer)
        with pytest.raises(AttachmentCorrupted):
            world.budi.download(attachment, got)
    for odd in ("text", 7, bytearray(32), memoryview(bytes(32))):
        world.blobs.answer("get_blob", odd)
        with pytest.raises(BackendError, match="something else"):
            world.budi.download(attachment, got)
    assert sorted(os.listdir(world.folder)) == ["blobs", "photo.png", "spool"]


def test_a_full_disk_ends_a_download_and_it_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    attachment, got = world.sent(600 * KIB), world.folder / "got"
    monkeypatch.setattr("e2ecross.client.downloads.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        world.budi.download(attachment, got)
    assert not got.exists()
    monkeypatch.undo()
    world.fetched()
    world.budi.download(attachment, got)
    assert len(world.fetched()) == 1  # the table: all of the file was there
    assert got.exists()
    with pytest.raises(StoreError, match="cannot be written"):
        world.budi.download(attachment, world.folder / "no folder" / "got")


def test_a_second_download_does_not_cut_what_the_first_has_finished(world: World) -> None:
    attachment, got = world.sent(2000 * KIB), world.folder / "got"
    errors: list[StoreError] = []

    def second(done: int, total: int) -> None:
        if done < total:
            with pytest.raises(StoreBusy) as caught:
                world.budi.download(attachment, got)
            errors.append(caught.value)

    world.budi.download(attachment, got, second)
    assert errors
    assert got.read_bytes() == (world.folder / "photo.png").read_bytes()
    world.budi.download(attachment, got)


def test_a_folder_is_no_place_for_a_file(world: World) -> None:
    attachment = world.sent(100)
    with pytest.raises(InvalidArgument, match="folder"):
        world.budi.download(attachment, world.folder)
    assert world.fetched() == []


def test_what_is_too_large_is_not_fetched(tmp_path: Path) -> None:
    world = World(tmp_path, Policy(capabilities=EVERYTHING, attachment_bytes=100))
    world.budi.download(world.sent(100), tmp_path / "got")
    attachment = world.sent(101)
    with pytest.raises(AttachmentTooLarge) as caught:
        world.budi.download(attachment, tmp_path / "got")
    assert (caught.value.size, caught.value.allowed) == (101, 100)
    assert world.fetched() == []
    with world.budi.open_attachment(attachment) as file:
        assert len(file.read()) == 101


def test_wrong_arguments_of_a_download(world: World) -> None:
    attachment = world.sent(10)
    with pytest.raises(InvalidArgument, match="attachment must be Attachment"):
        world.budi.download(cast("Attachment", Media(attachment)), "got")
    with pytest.raises(InvalidArgument, match="path"):
        world.budi.download(attachment, cast("str", 7))
    with pytest.raises(InvalidArgument, match="progress"):
        world.budi.download(attachment, "got", cast("Any", 7))
    assert world.fetched() == []


def test_what_others_raise_is_not_the_disks(world: World) -> None:
    attachment, got = world.sent(600 * KIB), world.folder / "got"
    world.blobs.fail("get_blob", ConnectionError("theirs"), after=2)
    with pytest.raises(ConnectionError, match="theirs"):
        world.budi.download(attachment, got)

    def broken(*_: int) -> None:
        raise FileNotFoundError("theirs")

    with pytest.raises(FileNotFoundError, match="theirs"):
        world.budi.download(attachment, got, broken)
    upload = world.ana.upload(world.file(10))
    with pytest.raises(FileNotFoundError, match="theirs"):
        upload.run(broken)


# --- Strangers ----------------------------------------------------------------------------------


def test_nothing_is_fetched_for_a_stranger_before_they_are_accepted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.budi.block(str(ANA.user_id))
    world.budi.unblock(str(ANA.user_id))
    upload = world.ana.upload(world.file(100))
    upload.run()
    world.ana.send(str(BUDI.user_id), Media(upload.attachment))
    message = world.receive()
    assert message.request
    timeline = Timeline(BUDI.user_id)
    (entry,) = timeline.add(message)
    assert entry.media is not None
    for attachment in (attachment_of(message), entry.media.attachment):
        assert attachment == upload.attachment
        with pytest.raises(InvalidArgument, match="whatsapp:ana, who was not accepted"):
            world.budi.download(attachment, tmp_path / "got")
        with pytest.raises(InvalidArgument, match="not accepted"):
            world.budi.open_attachment(attachment)
    assert world.blobs.calls == []
    world.budi.accept(str(ANA.user_id))
    world.budi.download(attachment_of(message), tmp_path / "got")
    world.budi.block(str(ANA.user_id))
    with pytest.raises(InvalidArgument, match="not accepted"):
        world.budi.download(attachment_of(message), tmp_path / "got")


def test_nothing_is_fetched_for_a_stranger_that_another_own_device_tells_of(world: World) -> None:
    scene = LinkScene(world.backend, world.clock, TOKO, policy=world.policy)
    phone, upload = scene.phone, world.ana.upload(world.file(100))
    upload.run()
    world.ana.send(str(TOKO.user_id), Media(upload.attachment))
    (message,) = [each for each in phone.receive() if isinstance(each, Message)]
    assert message.request
    scene.link()
    device = Device.open(scene.store, clock=world.clock, policy=world.policy)
    laptop = Client(device, world.backend, blobs=world.blobs)
    phone.share_history(2, [message])
    (shared,) = [each for each in laptop.receive() if isinstance(each, Message)]
    assert shared.historical
    world.fetched()
    with pytest.raises(InvalidArgument, match="accept"):
        laptop.open_attachment(attachment_of(shared))
    assert world.fetched() == []
    phone.accept(str(ANA.user_id))
    laptop.receive()
    assert laptop.open_attachment(attachment_of(shared)).size == 100


def test_a_mark_of_a_stranger_is_a_user() -> None:
    with pytest.raises(InvalidArgument, match="requested_by"):
        Attachment(bytes(32), 1, 16, bytes(32), bytes(32), requested_by=cast("Any", "x"))


# --- Reading ------------------------------------------------------------------------------------


def test_a_file_is_read_in_any_place(world: World) -> None:
    attachment, right = world.sent(200 * KIB + 3), world.file(200 * KIB + 3).read_bytes()
    with world.budi.open_attachment(attachment) as file:
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert file.size == len(right)
        assert world.fetched() == [(attachment.blob_size - attachment.table_size, 128)]
        assert file.seek(70 * KIB) == 70 * KIB
        assert file.read(10) == right[70 * KIB : 70 * KIB + 10]
        assert file.read(10) == right[70 * KIB + 10 : 70 * KIB + 20]
        assert file.tell() == 70 * KIB + 20
        assert world.fetched() == [(64 * KIB, 64 * KIB)]  # one chunk, once
        assert file.seek(-3, os.SEEK_END) == len(right) - 3
        assert file.read(10) == right[-3:]
        assert file.read(10) == b""
        assert file.seek(-2, os.SEEK_CUR) == len(right) - 2
        assert file.seek(10**12) == 10**12
        assert file.read() == b""
        assert file.seek(0) == 0
        assert file.read(0) == b""
        assert file.readall() == right
        assert repr(file) == f"<AttachmentFile of {len(right)} bytes, at {len(right)}>"


def test_a_file_is_read_through_a_buffer(world: World) -> None:
    attachment, right = world.sent(200 * KIB), world.file(200 * KIB).read_bytes()
    with io.BufferedReader(world.budi.open_attachment(attachment)) as file:
        file.seek(64 * KIB - 5)
        assert file.read(10) == right[64 * KIB - 5 :][:10]


def test_places_that_are_none(world: World) -> None:
    file = world.budi.open_attachment(world.sent(10))
    for offset, whence in ((-1, os.SEEK_SET), (-11, os.SEEK_END), (0, 7)):
        with pytest.raises(ValueError, match=r"beginning|whence"):
            file.seek(offset, whence)
    with pytest.raises(TypeError):
        file.seek(1.5)  # type: ignore[arg-type]
    assert file.tell() == 0
    file.close()
    file.close()
    for call in (lambda: file.read(1), lambda: file.seek(0), lambda: file.tell()):
        with pytest.raises(ValueError, match="closed"):
            call()
    with pytest.raises((TypeError, io.UnsupportedOperation)):
        pickle.dumps(file)
    assert isinstance(file, AttachmentFile)


def test_a_wrong_chunk_is_not_read_and_others_are(world: World) -> None:
    attachment, right = world.sent(200 * KIB), world.file(200 * KIB).read_bytes()
    file = world.budi.open_attachment(attachment)
    world.blobs.answer("get_blob", bytes(64 * KIB))
    with pytest.raises(AttachmentCorrupted):
        file.read(1)
    assert file.tell() == 0
    world.blobs.honest()
    assert file.read(1) == right[:1]
    world.blobs.fail("get_blob", BlobGone("gone"))
    file.seek(128 * KIB)
    with pytest.raises(BlobGone):
        file.read(1)
    file.seek(0)
    assert file.read(1) == right[:1]  # the chunk that is kept


# --- Forwarding ---------------------------------------------------------------------------------


def test_a_forwarded_file_is_not_uploaded_again(world: World) -> None:
    attachment = world.sent(100)
    world.budi.send(str(ANA.user_id), Text("halo"))
    world.blobs.calls.clear()
    world.budi.send(str(ANA.user_id), Media(attachment))
    assert world.blobs.calls == []
    found = [each for each in world.ana.receive() if isinstance(each, Message)]
    assert attachment_of(found[-1]) == attachment
    assert store_of(world.ana) is not None
