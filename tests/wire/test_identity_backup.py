# SPDX-License-Identifier: Apache-2.0
"""The form of identity backups; that there is one encoding is held in test_one_encoding.py."""

from dataclasses import replace

import pytest

from e2ecross.address import Address
from e2ecross.crypto.passphrase import Argon2Work, PassphraseCost
from e2ecross.errors import DecodeError, UnsupportedVersion
from e2ecross.wire.identity_backup import BackupContent, IdentityBackup
from tests.support.protobuf import fields

BACKUP = IdentityBackup(Argon2Work(3, 262_144), bytes(range(16)), bytes(range(12)), bytes(16))
CONTENT = BackupContent(Address("whatsapp", "ana"), bytes(range(32)), b"")


def test_the_encoding_is_the_documented_one() -> None:
    data = BACKUP.encode()
    assert fields(data) == [
        (1, 1),
        (2, 3),
        (3, 262_144),
        (4, bytes(range(16))),
        (5, bytes(range(12))),
        (6, bytes(16)),
    ]
    assert BACKUP.associated_data == data[: -len(b"\x32\x10" + bytes(16))]
    assert [number for number, _ in fields(CONTENT.encode())] == [1, 2]


def test_the_longest_backup_is_within_the_bound() -> None:
    address = Address("a" * 32, "b" * 64, 127)
    longest = BackupContent(address, bytes(32), bytes(32)).encode()
    sealed = longest + bytes(16)
    backup = replace(BACKUP, work=PassphraseCost.SENSITIVE.work, sealed=sealed)
    assert IdentityBackup.decode(backup.encode()) == backup
    assert len(backup.encode()) < 320


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (replace(BACKUP, salt=bytes(15)), "wrong length"),
        (replace(BACKUP, salt=b""), "wrong length"),
        (replace(BACKUP, nonce=bytes(13)), "wrong length"),
        (replace(BACKUP, sealed=bytes(15)), "cut off"),
        (replace(BACKUP, sealed=bytes(2000)), "more than"),
        (replace(BACKUP, work=Argon2Work(1, 262_144)), "too little"),
        (replace(CONTENT, identity_private_key=bytes(31)), "key of wrong length"),
        (replace(CONTENT, backend_token=bytes(31)), "token of wrong length"),
    ],
)
def test_values_of_wrong_length_are_refused(
    wrong: IdentityBackup | BackupContent, why: str
) -> None:
    with pytest.raises(DecodeError, match=f"^an identity backup .*{why}"):
        type(wrong).decode(wrong.encode())


def test_the_version_is_told() -> None:
    data = BACKUP.encode()
    assert data[:2] == b"\x08\x01"
    with pytest.raises(UnsupportedVersion, match=r"backup version 7 .* only 1"):
        IdentityBackup.decode(b"\x08\x07" + data[2:])
    with pytest.raises(DecodeError, match="backup lacks its version"):
        IdentityBackup.decode(data[2:])


def test_a_content_shows_no_secret() -> None:
    assert "\\x" not in repr(CONTENT)
    assert BackupContent.decode(CONTENT.encode()).encode() == CONTENT.encode()
