# SPDX-License-Identifier: Apache-2.0
"""Backups of an identity: what they hold and do not hold, and what a hostile file gets."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Address, Client, Device, Message, Notice, NoticeKind, Policy, Text
from e2ecross.crypto import passphrase as passphrase_module
from e2ecross.crypto.aead import seal
from e2ecross.crypto.keys import key_pair_from_private
from e2ecross.crypto.passphrase import Argon2Work, Passphrase, PassphraseCost
from e2ecross.device.identity_backup import seal_backup
from e2ecross.errors import (
    DecodeError,
    DeviceExists,
    E2ECrossError,
    InvalidArgument,
    NotPrimary,
    NotRegistered,
    UnsupportedVersion,
    WitnessFailed,
    WrongBackupKey,
)
from e2ecross.state.context import require_device, save_device
from e2ecross.state.epoch import read_epoch
from e2ecross.stores import MemoryStore, Store
from e2ecross.wire.identity_backup import BackupContent, IdentityBackup
from tests.support.accounts import device_of, make_account
from tests.support.devices import (
    ANA,
    BUDI,
    NOW_MS,
    BackendSimulator,
    FakeClock,
    Stores,
    dump,
    introduce,
    make_client,
    make_device,
    say,
    start,
)
from tests.support.documents import ROOT
from tests.support.entropy import ReplayedEntropy, SeededEntropy
from tests.support.witness import Keychain

EXAMPLE: Path = ROOT / "tests" / "data" / "identity-backup-1.bin"
PASSPHRASE = "four words and more"
TOKEN = bytes(range(32))


def export(device: Device, passphrase: str | bytes = PASSPHRASE) -> bytes:
    return device.export_identity(passphrase, cost="interactive")


def bring_in(backup: bytes, store: Store | None = None, passphrase: str = PASSPHRASE) -> Device:
    return Device.import_identity(
        backup,
        passphrase,
        MemoryStore() if store is None else store,
        clock=FakeClock(),
        entropy=SeededEntropy("imported"),
    )


def test_an_imported_device_is_who_the_exported_one_was(stores: Stores) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    with ana._context.store.transaction() as tx:
        save_device(tx, replace(require_device(tx), backend_token=TOKEN, registered=True))
    before = dump(ana._context.store)
    backup = export(ana)
    assert dump(ana._context.store) == before
    new = bring_in(backup, stores.open("new"))
    assert (new.address, new.identity_key) == (ANA, ana.identity_key)
    assert new.registration_id != ana.registration_id
    number = new._context.identity_key_pair
    assert key_pair_from_private(number.private).public == ana.identity_key
    with new._context.store.transaction() as tx:
        record = require_device(tx)
    assert (record.backend_token, record.replaced_token) == (b"", TOKEN)
    assert (record.registered, record.imported_at_ms) == (False, NOW_MS)
    assert (record.adopts_epoch, record.replaces_prekeys) == (True, True)
    assert new.session_info(BUDI) is None
    assert new.remote_identity(BUDI) is None
    start(budi, new)  # the identity key is the accepted one
    say(budi, new, "halo")
    say(new, budi, "it is still me")
    reopened = Device.open(stores.reopen("new"), clock=FakeClock())
    assert reopened.identity_key == ana.identity_key


def test_it_keeps_the_account_at_the_back_end() -> None:
    backend = BackendSimulator()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    ana.send(BUDI, Text("from the old phone"))
    budi.confirm(budi.receive())
    again = Client(bring_in(export(ana.device)), backend)
    again.register()
    assert backend.published(ANA).registration_id == again.device.registration_id
    with again.device._context.store.transaction() as tx:
        assert require_device(tx).replaced_token == b""
    with pytest.raises(NotRegistered):  # the installation that it was moved from has ended
        ana.send(BUDI, Text("from the old phone once more"))
    again.send(BUDI, Text("from the new one"))
    notice, message = budi.receive()
    assert isinstance(notice, Notice)
    assert notice.kind is NoticeKind.ACCOUNT_RESTORED
    assert isinstance(message, Message)
    assert (message.content, message.identity_changed) == (Text("from the new one"), False)


def test_a_backup_holds_nothing_of_what_the_device_has_done() -> None:
    ana = make_device(ANA)
    before = export(ana)
    introduce(ana, make_device(BUDI))
    ana.publish(50)
    after = export(ana)
    assert len(before) == len(after) < 256


def test_two_backups_have_nothing_in_common() -> None:
    ana = make_device(ANA)
    one, two = IdentityBackup.decode(export(ana)), IdentityBackup.decode(export(ana))
    assert one.work == two.work == PassphraseCost.INTERACTIVE.work
    assert one.salt != two.salt
    assert one.nonce != two.nonce
    assert one.sealed != two.sealed


def test_nothing_secret_is_readable() -> None:
    ana = make_device(ANA)
    backup = export(ana)
    for hidden in (ana._context.identity_key_pair.private, ana.identity_key[1:], b"ana", b"four"):
        assert hidden not in backup


def test_the_example_opens() -> None:
    """As tests/data/build_identity_backup_1.py wrote it, without our code."""
    device = Device.import_identity(
        EXAMPLE.read_bytes(), "correct horse battery staple", MemoryStore()
    )
    assert device.address == Address("whatsapp", "ana", 2)
    assert device.identity_key == key_pair_from_private(bytes(range(32))).public
    with device._context.store.transaction() as tx:
        record = require_device(tx)
    assert (record.backend_token, record.replaced_token) == (b"", bytes(range(32, 64)))


def test_the_example_is_what_we_write() -> None:
    header = IdentityBackup.decode(EXAMPLE.read_bytes())

    entropy = ReplayedEntropy([header.salt, header.nonce])
    content = BackupContent(Address("whatsapp", "ana", 2), bytes(range(32)), bytes(range(32, 64)))
    opener = Passphrase("correct horse battery staple", "interactive")
    assert seal_backup(content, opener, entropy) == EXAMPLE.read_bytes()


# --- What is refused ----------------------------------------------------------------------------


def test_another_passphrase_does_not_open_it() -> None:
    backup, store = export(make_device(ANA)), MemoryStore()
    for wrong in ("four words and mor", PASSPHRASE + " ", "FOUR WORDS AND MORE"):
        with pytest.raises(WrongBackupKey) as caught:
            bring_in(backup, store, wrong)
        assert wrong not in str(caught.value)
        assert caught.value.code == "wrong_backup_key"
    assert dump(store) == {}


def test_text_counts_in_its_normal_form() -> None:
    backup = make_device(ANA).export_identity("caf\u00e9", cost="interactive")
    assert bring_in(backup, passphrase="cafe\u0301").address == ANA


@pytest.mark.parametrize("bad", ["", None, 5, bytearray(b"x"), "x" * 1025, "\ud800"])
def test_what_is_no_passphrase_is_refused(bad: object) -> None:
    ana = make_device(ANA)
    with pytest.raises(InvalidArgument):
        ana.export_identity(bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        Device.import_identity(EXAMPLE.read_bytes(), bad, MemoryStore())  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="cost"):
        ana.export_identity("x", cost="cheap")


def test_a_store_that_holds_a_device_is_not_touched() -> None:
    store = MemoryStore()
    make_device(BUDI, store)
    before = dump(store)
    with pytest.raises(DeviceExists):
        bring_in(export(make_device(ANA)), store)
    assert dump(store) == before


@pytest.fixture
def work_done(monkeypatch: pytest.MonkeyPatch) -> list[Argon2Work]:
    """Every derivation; none takes any time."""
    done: list[Argon2Work] = []

    def run(self: Passphrase, salt: bytes, work: Argon2Work) -> bytes:
        done.append(work)
        return (salt * 2)[:32]

    monkeypatch.setattr(passphrase_module.Passphrase, "_run", run)
    return done


@pytest.mark.parametrize(
    "work",
    [
        Argon2Work(1, 65_536),
        Argon2Work(2, 65_535),
        Argon2Work(5, 65_536),
        Argon2Work(2, 1_048_577),
        Argon2Work(2, 2**32 - 1),
        Argon2Work(2**32 - 1, 65_536),
        Argon2Work(0, 0),
    ],
)
def test_a_hostile_file_gets_neither_gigabytes_nor_a_cheap_key(
    work: Argon2Work, work_done: list[Argon2Work]
) -> None:
    header = replace(IdentityBackup.decode(EXAMPLE.read_bytes()), work=work)
    with pytest.raises(DecodeError, match="work"):
        bring_in(header.encode())
    assert work_done == []


def test_any_change_of_a_bit_is_noticed(work_done: list[Argon2Work]) -> None:
    ana = make_device(ANA)
    backup = export(ana)
    assert bring_in(backup).address == ANA
    for place in range(len(backup)):
        for bit in range(8):
            changed = bytearray(backup)
            changed[place] ^= 1 << bit
            with pytest.raises((WrongBackupKey, DecodeError, UnsupportedVersion)):
                bring_in(bytes(changed))


def test_a_cut_or_longer_backup_is_refused(work_done: list[Argon2Work]) -> None:
    backup = export(make_device(ANA))
    for length in range(len(backup)):
        with pytest.raises((DecodeError, WrongBackupKey)):
            bring_in(backup[:length])
    for tail in (b"\0", b"\x40\x01", bytes(2000)):
        with pytest.raises(DecodeError):
            bring_in(backup + tail)


def test_a_later_version_is_told_from_damage(work_done: list[Argon2Work]) -> None:
    backup = export(make_device(ANA))
    assert backup[:2] == b"\x08\x01"
    with pytest.raises(UnsupportedVersion, match="upgrade"):
        bring_in(b"\x08\x02" + backup[2:])
    with pytest.raises(DecodeError):
        bring_in(backup[2:])
    assert len(work_done) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        BackupContent(ANA, bytes(31), b"").encode(),
        BackupContent(ANA, bytes(32), bytes(31)).encode(),
        BackupContent(ANA, bytes(32), b"").encode() + b"\x20\x01",
    ],
    ids=["empty", "garbage", "short key", "short token", "more"],
)
def test_a_sealed_content_that_is_none_is_refused(
    content: bytes, work_done: list[Argon2Work]
) -> None:
    """Whoever knows the passphrase may write what they like."""
    header = IdentityBackup.decode(EXAMPLE.read_bytes())
    key = (header.salt * 2)[:32]
    label = b"e2ecross identity backup 1" + replace(header, sealed=b"").encode()
    hostile = replace(header, sealed=seal(key, header.nonce, content, label))
    store = MemoryStore()
    with pytest.raises(DecodeError):
        bring_in(hostile.encode(), store)
    assert dump(store) == {}


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(E2ECrossError):
        bring_in(data)


@pytest.mark.parametrize("bad", [None, "text", bytearray(b"x"), 1])
def test_what_is_no_bytes_is_refused(bad: object) -> None:
    with pytest.raises(InvalidArgument):
        bring_in(bad)  # type: ignore[arg-type]


def test_an_imported_device_goes_on_where_the_witness_is() -> None:
    keychain = Keychain(17)
    device = Device.import_identity(
        EXAMPLE.read_bytes(), "correct horse battery staple", MemoryStore(), witness=keychain
    )
    with device._context.store.transaction() as tx:
        assert read_epoch(tx) == 17
    device.publish(1)
    assert keychain.number == 18
    keychain.error = OSError()
    with pytest.raises(WitnessFailed):
        Device.import_identity(
            EXAMPLE.read_bytes(), "correct horse battery staple", MemoryStore(), witness=keychain
        )


def test_an_imported_device_has_the_policy_that_it_was_given() -> None:
    policy = Policy(resend_kept_messages=7)
    device = Device.import_identity(
        EXAMPLE.read_bytes(), "correct horse battery staple", MemoryStore(), policy=policy
    )
    assert device._context.policy is policy


def test_a_device_that_was_linked_has_no_backup(backend: BackendSimulator) -> None:
    """It would come back without knowing the key of its account, and show wrong safety numbers."""
    phone, laptop = make_account(ANA, (1, 2), backend)
    laptop = Client(Device.open(laptop.device._context.store, clock=FakeClock()), backend)
    with pytest.raises(NotPrimary, match="link a new device"):
        export(laptop.device)
    assert bring_in(export(phone.device)).address == ANA
    alone = make_device(device_of(BUDI, 2))
    assert bring_in(export(alone)).address == alone.address
