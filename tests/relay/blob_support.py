# SPDX-License-Identifier: Apache-2.0
"""Both stores of files, made alike, and what their tests hand them."""

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import BackendError, BackendRefused, BlobGone
from e2ecross.relay import FolderBlobs, Relay, RelayLimits
from tests.relay.support import ANA, BUDI, TOKO, FakeClock, digest, token

LIMITS = RelayLimits(
    blob_bytes=1_000,
    blobs_per_user_bytes=2_500,
    blobs_per_user=5,
    blob_kept_ms=1_000,
    blob_part_kept_ms=100,
)
ANAS_TABLET = Address(ANA.app, ANA.user, 2)
PEOPLE = (ANA, ANAS_TABLET, BUDI, TOKO)

AnyStore = Relay | FolderBlobs


def blob_id(number: int) -> bytes:
    return digest(f"blob {number}")


def content(size: int, name: str = "") -> bytes:
    """Bytes of which no two ranges look alike."""
    blocks = (size + 31) // 32
    return b"".join(digest(f"content {name} {block}") for block in range(blocks))[:size]


DATA = content(700)


@dataclass
class Place:
    """Where a store keeps files, and how it is opened there."""

    folder: Path
    database: Path
    make: Callable[["Place"], AnyStore]
    clock: FakeClock = field(default_factory=FakeClock)
    limits: RelayLimits = LIMITS

    def open(self) -> AnyStore:
        return self.make(self)

    def file(self, number: int) -> Path:
        """That of a complete blob."""
        return self.folder / hashlib.sha256(blob_id(number)).hexdigest()

    def part(self, number: int) -> Path:
        return self.file(number).with_suffix(".part")

    def files(self) -> list[Path]:
        """All of blobs, in the order of their names."""
        return sorted(path for path in self.folder.iterdir() if len(path.stem) == 64)

    def rows(self) -> list[tuple[bytes, str, int, int, int]]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(
                'SELECT id_sha256, "user", size, stored, until_ms FROM blobs ORDER BY id_sha256'
            ).fetchall()


def relay_in(tmp_path: Path) -> Place:
    def make(place: Place) -> Relay:
        relay = Relay(
            place.database,
            authorise=lambda address, taken, credential: True,
            blob_dir=place.folder,
            limits=place.limits,
            clock=place.clock,
        )
        for address in PEOPLE:
            relay.register(address, token(address))
        return relay

    return Place(tmp_path / "files", tmp_path / "relay.db", make)


def folder_in(tmp_path: Path) -> Place:
    folder = tmp_path / "files"
    return Place(
        folder,
        folder / "blobs.db",
        lambda place: FolderBlobs(place.folder, limits=place.limits, clock=place.clock),
    )


PLACES: dict[str, Callable[[Path], Place]] = {"Relay": relay_in, "FolderBlobs": folder_in}


def begin(store: AnyStore, number: int, size: int, who: Address = ANA) -> int:
    return store.begin_blob(who, token(who), blob_id(number), size)


def put(store: AnyStore, number: int, offset: int, data: bytes, who: Address = ANA) -> int:
    return store.put_blob(who, token(who), blob_id(number), offset, data)


def get(store: AnyStore, number: int, offset: int, length: int) -> bytes:
    return store.get_blob(blob_id(number), offset, length)


def delete(store: AnyStore, number: int, who: Address = ANA) -> None:
    store.delete_blob(who, token(who), blob_id(number))


def upload(store: AnyStore, number: int, data: bytes, who: Address = ANA) -> None:
    """Begin a blob, and put all of it there."""
    assert begin(store, number, len(data), who) == 0
    assert put(store, number, 0, data, who) == len(data)


def refused(call: Callable[[], object], match: str = ".") -> None:
    with pytest.raises(BackendRefused, match=match):
        call()


def gone(call: Callable[[], object]) -> str:
    with pytest.raises(BlobGone) as caught:
        call()
    assert type(caught.value) is BlobGone
    return str(caught.value)


def failed(call: Callable[[], object], match: str) -> None:
    with pytest.raises(BackendError, match=match) as caught:
        call()
    assert type(caught.value) is BackendError
