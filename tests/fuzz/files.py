# SPDX-License-Identifier: Apache-2.0
"""Targets: files that a program opens and that hold something else."""

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from e2ecross import Device
from e2ecross.cli.doctor import run_doctor
from e2ecross.cli.inspect import NAMED, run_inspect
from e2ecross.errors import BackendError, RemoteError, StoreError
from e2ecross.relay import Relay
from e2ecross.stores import SQLiteStore
from e2ecross.wire.content import encode_group_payload
from tests.attacks.support import ANA, BUDI
from tests.fuzz.rows import use_device
from tests.fuzz.target import ACCEPTED, Source, Target, outcome
from tests.fuzz.world import fill, first_message, scene
from tests.relay.support import deposit, device_list, fetch_bundle
from tests.support.entropy import SeededEntropy
from tests.support.formats import ATTACHMENT, FORMATS, GROUP_PAYLOAD
from tests.support.sender_keys import FORMS, vectors_of
from tests.support.vectors import unhex

__all__ = ["FILES"]

_KEY: Final = bytes(range(32))
_PAGE: Final = 1024
_OF_GROUPS: Final = (
    *("copies", "group commit", "signed group commit", "group commits", "grant of a sender key"),
    *("group retry request", "message of a group sent again"),
)
# A file of a moment needs no disk.
_FOLDER: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="e2ecross-fuzz-", dir=_FOLDER) as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        yield path


@cache
def _base(kind: int) -> bytes:
    """The file of Budi's store, in the clear or sealed, or of a relay."""
    with tempfile.TemporaryDirectory(prefix="e2ecross-fuzz-", dir=_FOLDER) as folder:
        path = Path(folder) / "file"
        if kind == 2:
            with Relay(path, clock=scene().budi.clock) as relay:
                relay.register(ANA, bytes(32))
                relay.register(BUDI, bytes(32))
                relay.publish(bytes(32), scene().budi.published)
                deposit(relay, bytes(32), scene().waiting[0].encode())
                relay.publish_devices(bytes(32), device_list(BUDI, 1, (1, 2)).encode(), {})
                relay.put_link(bytes(16), 0, b"offer", address=BUDI, token=bytes(32))
            with Relay(path, blob_dir=Path(folder) / "files", clock=scene().budi.clock) as relay:
                for number in (1, 2):
                    relay.begin_blob(BUDI, bytes(32), bytes([number]) * 32, 3)
                relay.put_blob(BUDI, bytes(32), bytes([1]) * 32, 0, b"abc")
        else:
            store = SQLiteStore(path, key=(None, _KEY)[kind], entropy=SeededEntropy("base"))
            fill(store, scene().budi_rows)
            store.close()
        return path.read_bytes()


def _contents(data: bytes, kind: int) -> bytes:
    """A base with patches, cut to some length, or bytes of any kind."""
    source = Source(data)
    if source.below(8) == 7:
        return source.rest()
    changed = bytearray(_base(kind))
    for _ in range(source.below(5)):
        # Page, then place in the page: what SQLite trusts stands at the beginning of each.
        at = source.number() * _PAGE + source.number(2) % _PAGE
        patch = source.take(1 + source.below(8))
        if at < len(changed):
            changed[at : at + len(patch)] = patch
    if source.below(4) == 3:
        del changed[source.number(2) :]
    return bytes(changed)


def _open_store(kind: int) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        with _file(_contents(data, kind)) as path:
            stores: list[SQLiteStore] = []
            came = outcome(
                lambda: stores.append(
                    SQLiteStore(path, key=(None, _KEY)[kind], entropy=SeededEntropy("opened"))
                ),
                StoreError,
            )
            for store in stores:
                came = _use(store)
                store.close()
        return came

    return run


def _use(store: SQLiteStore) -> str:
    devices: list[Device] = []
    entropy = SeededEntropy("damaged")
    clock = scene().budi.clock
    came = outcome(
        lambda: devices.append(Device.open(store, clock=clock, entropy=entropy)), StoreError
    )
    return ",".join(sorted(set(use_device(devices[0])))) if devices else came


def _open_relay(data: bytes) -> str:
    with _file(_contents(data, 2)) as path:
        relays: list[Relay] = []
        clock, folder = scene().budi.clock, path.with_name("files")
        folder.mkdir()
        (folder / sha256(bytes([1]) * 32).hexdigest()).write_bytes(b"abc")
        came = outcome(
            lambda: relays.append(Relay(path, blob_dir=folder, clock=clock)), BackendError
        )
        for relay in relays:
            came = _use_relay(relay)
            relay.close()
    return came


def _use_relay(relay: Relay) -> str:
    token, envelope = bytes(32), scene().waiting[1].encode()
    actions: list[Callable[[], object]] = [
        lambda: relay.fetch(BUDI, token, 5),
        lambda: deposit(relay, token, envelope),
        lambda: fetch_bundle(relay, ANA, token, BUDI),
        lambda: relay.publish(token, scene().budi.published),
        lambda: relay.acknowledge(BUDI, token, [1, 2]),
        lambda: relay.get_link(bytes(16), 0),
        lambda: relay.put_link(bytes(16), 2, b"result", address=BUDI, token=token),
        lambda: relay.put_link(bytes([1]) * 16, 0, b"offer", address=BUDI, token=token),
        lambda: relay.publish_devices(token, device_list(BUDI, 2).encode(), {}),
        lambda: relay.get_blob(bytes([1]) * 32, 0, 3),
        lambda: relay.put_blob(BUDI, token, bytes([2]) * 32, 0, b"abc"),
        lambda: relay.begin_blob(BUDI, token, bytes([3]) * 32, 3),
        lambda: relay.delete_blob(BUDI, token, bytes([1]) * 32),
    ]
    return ",".join(sorted({outcome(action, BackendError, RemoteError) for action in actions}))


def _printed(command: Callable[[], int], refused: int) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command()
    if code != refused:
        assert out.getvalue()
        assert not err.getvalue()
        return f"{ACCEPTED},{code}"
    assert not out.getvalue(), "printed something, and then refused"
    assert len(err.getvalue().splitlines()) == 1, "not one line"
    return "refused"


def _inspect(data: bytes) -> str:
    with _file(data) as path:
        shown = _printed(lambda: run_inspect(str(path)), 1)
        assert _printed(lambda: run_inspect(str(path), json=True), 1) == shown
    return shown


def _inspect_named(data: bytes) -> str:
    with _file(data) as path:
        came = [_printed(partial(run_inspect, str(path), named=named), 1) for named in NAMED]
    return ",".join(came)


def _doctor(data: bytes) -> str:
    with _file(_contents(data, 0)) as path:
        before = path.read_bytes()
        shown = _printed(lambda: run_doctor(str(path), clock=scene().budi.clock), 2)
        assert path.read_bytes() == before, "the doctor has changed the file"
    return shown


def _patches() -> Sequence[bytes]:
    base = _base(0)
    pages = range(len(base) // _PAGE)
    return [
        b"\0\0",
        b"\7",
        b"\7SQLite format 3\0",
        b"\0\0\0\0\0\0\3\4\0",
        *(bytes((0, 1, page, 0, 0, 4, 13, 0, 0, 0, 9)) for page in pages),
        *(bytes((0, 1, page, 3, 240, 7, 255, 255, 255, 255, 255, 255, 255)) for page in pages),
    ]


FILES: Final[Mapping[str, Target]] = {
    "store-file": Target(_open_store(0), _patches, 64),
    "sealed-store-file": Target(_open_store(1), _patches, 64),
    "relay-file": Target(
        _open_relay,
        # What came through once: damage to the text of a schema, and a count that is none.
        lambda: [*_patches(), b"\0\1B\0\0\0\x80", b"\1\x2f\7\3\2\xf8\0"],
        64,
    ),
    "doctor": Target(_doctor, _patches, 64),
    "inspect": Target(
        _inspect,
        lambda: [
            *(scene().late.encode(), first_message().encode(), ATTACHMENT.encode()),
            *(b"", b"\x08\x02", b"\x08\x01"),
            *(FORMATS[name].example for name in _OF_GROUPS),
            encode_group_payload(GROUP_PAYLOAD),
        ],
        1024,
    ),
    "inspect-named": Target(
        _inspect_named,
        lambda: [
            unhex(given)
            for keys in map(vectors_of, FORMS)
            for given in (keys["distribution"], keys["messages"][0]["message"])
        ],
        512,
    ),
}
