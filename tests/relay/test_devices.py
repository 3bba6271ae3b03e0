# SPDX-License-Identifier: Apache-2.0
"""Lists of the devices of an account, and which addresses belong to it."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    InvalidKey,
    NotRegistered,
    RemoteError,
    UnknownRecipient,
    UnsupportedVersion,
)
from e2ecross.relay import Relay, RelayLimits
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.exchange import KeysWanted, UserKeys
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    deposit,
    device_list,
    digest,
    envelope,
    epoch_of,
    fetch_bundle,
    file_bytes,
    published,
    register,
    take,
    token,
    token_sha256,
)

TABLET = Address(ANA.app, ANA.user, 2)
WATCH = Address(ANA.app, ANA.user, 3)
BOX = bytes(16)


def publish(
    relay: Relay,
    *numbers: int,
    seq: int = 1,
    tokens: Iterable[Address] = (),
    generation: int = 0,
    epoch: int = 0,
) -> bytes:
    """Publish a list of ana's devices, with the tokens of some of them; returns it."""
    data = device_list(ANA, seq, (1, *numbers)).encode()
    digests = {each.device: token_sha256(token(each, generation)) for each in tokens}
    relay.publish_devices(token(ANA), data, digests, epoch=epoch)
    return data


def listed(relay: Relay, address: Address = ANA) -> bytes:
    """The list that everybody gets."""
    [keys] = relay.fetch_keys(BUDI, token(BUDI), [KeysWanted(address.user_id, [])])
    assert isinstance(keys, UserKeys)
    return keys.device_list


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
    connection.close()
    return found


@pytest.fixture
def linked(relay: Relay) -> Relay:
    """A relay where tablet and watch of ana are linked, have keys, and something waits for them."""
    publish(relay, 2, 3, tokens=(TABLET, WATCH))
    for device in (ANA, TABLET, WATCH):
        relay.publish(token(device), published(device, range(1, 6)), epoch=20)
        deposit(relay, token(BUDI), envelope(BUDI, device, 1).encode())
    return relay


# --- Lists ----------------------------------------------------------------------------------


def test_everybody_gets_the_list_as_it_was_published(relay: Relay) -> None:
    assert listed(relay) == b""
    data = publish(relay)
    assert listed(relay) == data
    assert listed(relay, BUDI) == b""
    [keys] = relay.fetch_keys(ANA, token(ANA), [KeysWanted(ANA.user_id, None)])
    assert keys == UserKeys(data, ())


def test_no_signature_is_checked(relay: Relay) -> None:
    """The devices do that; the relay cannot vouch for anything."""
    made = device_list(ANA)
    for number in range(3):
        newer = device_list(ANA, 2 + number)
        changed = SignedDeviceList(newer.data, digest(f"{number}") * 2, newer.list).encode()
        relay.publish_devices(token(ANA), changed, {})
        assert listed(relay) == changed
    with pytest.raises(BackendRefused):
        relay.publish_devices(token(ANA), made.encode(), {})


def test_a_newer_list_takes_the_place_of_an_older_one(relay: Relay) -> None:
    publish(relay, seq=1)
    for seq in (2, 5, 1_005, 2**63 - 1):
        data = publish(relay, seq=seq)
        assert listed(relay) == data


def test_the_same_list_again_changes_nothing(linked: Relay, path: Path) -> None:
    """Also with other tokens: whoever has moved since then keeps what they have."""
    linked.register(TABLET, token(TABLET, 1), replaces=token(TABLET))
    before = {table: rows(path, table) for table in ("accounts", "mailbox", "device_lists")}
    publish(linked, 2, 3, tokens=(TABLET, WATCH))
    publish(linked, 2, 3, tokens=(TABLET, WATCH), generation=5)
    publish(linked, 2, 3)
    assert before == {table: rows(path, table) for table in before}


@pytest.mark.parametrize(
    "other",
    [
        device_list(ANA, 5, (1, 2), name="another signature"),
        device_list(ANA, 5, (1, 3)),
        device_list(ANA, 4, (1, 2)),
        device_list(ANA, 1),
    ],
)
def test_a_list_that_is_no_newer_one_is_refused(
    relay: Relay, path: Path, other: SignedDeviceList
) -> None:
    data = publish(relay, 2, seq=5, tokens=[TABLET])
    before = rows(path, "accounts")
    with pytest.raises(BackendRefused, match=r"list 5 of the devices of whatsapp:ana is known"):
        relay.publish_devices(
            token(ANA), other.encode(), {2: token_sha256(token(TABLET, 1))}, epoch=7
        )
    assert listed(relay) == data
    assert rows(path, "accounts") == before
    assert epoch_of(relay, ANA, token(ANA)) == 0


def _changed(**fields: object) -> bytes:
    listed = device_list(ANA, 2).list
    for name, value in fields.items():
        object.__setattr__(listed, name, value)
    return SignedDeviceList(listed.encode(), bytes(64), listed).encode()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", DecodeError),
        (b"garbage", DecodeError),
        (bytes(8_265), DecodeError),
        (device_list(ANA, 2).data, DecodeError),
        (device_list(ANA, 2).encode() + b"\x1a\x00", DecodeError),
        (device_list(ANA, 2).encode()[:-1], DecodeError),
        (_changed(seq=0), DecodeError),
        (_changed(seq=2**63), DecodeError),
        (_changed(devices=()), DecodeError),
        (_changed(devices=device_list(ANA, 2, (2, 3)).list.devices), DecodeError),
        (
            SignedDeviceList(
                b"\x08\x02" + device_list(ANA).data[2:], bytes(64), device_list(ANA).list
            ).encode(),
            UnsupportedVersion,
        ),
        (
            device_list(ANA, 2).encode().replace(device_list(ANA).list.account_key, bytes(33)),
            InvalidKey,
        ),
    ],
)
def test_what_is_no_list_changes_nothing(
    linked: Relay, path: Path, data: bytes, error: type[RemoteError]
) -> None:
    before = file_bytes(path)
    with pytest.raises(error):
        linked.publish_devices(token(ANA), data, {2: bytes(32)}, epoch=99)
    assert file_bytes(path) == before


def test_only_device_1_of_the_account_publishes_its_list(linked: Relay, path: Path) -> None:
    register(linked, TOKO)
    before = rows(path, "accounts"), rows(path, "device_lists")
    data = device_list(ANA, 2).encode()
    for other in (TABLET, WATCH, BUDI, TOKO):
        with pytest.raises(BackendRefused, match=rf"only whatsapp:ana\.1 .* that of {other}"):
            linked.publish_devices(token(other), data, {}, epoch=99)
    for wrong in (token(ANA, 1), bytes(32), token_sha256(token(ANA))):
        with pytest.raises(NotRegistered, match=r"whatsapp:ana\.1 is not registered with"):
            linked.publish_devices(wrong, data, {}, epoch=99)
    with pytest.raises(NotRegistered):  # there is no such account at all
        linked.publish_devices(bytes(32), device_list(Address("x", "nobody")).encode(), {})
    assert (rows(path, "accounts"), rows(path, "device_lists")) == before


def test_the_epoch_counts_as_with_other_calls(relay: Relay) -> None:
    publish(relay, epoch=7)
    assert epoch_of(relay, ANA, token(ANA)) == 7
    publish(relay, seq=2)  # it is not told
    publish(relay, seq=3, epoch=5)
    assert epoch_of(relay, ANA, token(ANA)) == 7
    publish(relay, seq=3, epoch=9)  # the same list again
    publish(relay, seq=4, epoch=2**63 - 1)
    assert epoch_of(relay, ANA, token(ANA)) == 2**63 - 1


# --- Tokens of companions -------------------------------------------------------------------


def test_a_companion_gets_its_token_with_the_list(relay: Relay) -> None:
    publish(relay, 2, 3, tokens=[TABLET])
    assert relay.fetch(TABLET, token(TABLET), 1) == []
    assert epoch_of(relay, TABLET, token(TABLET)) == 0
    relay.publish(token(TABLET), published(TABLET, [1]))
    assert fetch_bundle(relay, BUDI, token(BUDI), TABLET).one_time_prekey_id == 1
    deposit(relay, token(BUDI), envelope(BUDI, TABLET).encode())
    assert len(relay.fetch(TABLET, token(TABLET), 9)) == 1
    # One that is listed and has no token yet is registered no more than anybody.
    with pytest.raises(NotRegistered):
        relay.fetch(WATCH, token(WATCH), 1)
    with pytest.raises(UnknownRecipient, match=r"whatsapp:ana\.3 is not registered"):
        deposit(relay, token(BUDI), envelope(BUDI, WATCH).encode())
    publish(relay, 2, 3, seq=2, tokens=[WATCH])
    assert relay.fetch(WATCH, token(WATCH), 1) == []


def test_who_has_the_token_already_keeps_everything(linked: Relay) -> None:
    before = linked.fetch(TABLET, token(TABLET), 9)
    publish(linked, 2, 3, seq=2, tokens=(TABLET, WATCH))
    publish(linked, 2, 3, seq=3)
    for device in (TABLET, WATCH):
        assert linked.one_time_prekey_count(device, token(device)) == 5
        assert epoch_of(linked, device, token(device)) == 20
    assert linked.fetch(TABLET, token(TABLET), 9) == before != []


def test_another_holder_of_a_number_loses_everything(linked: Relay) -> None:
    linked.put_link(BOX, 0, b"offer", address=TABLET, token=token(TABLET))
    publish(linked, 2, 3, seq=2, tokens=(TABLET, WATCH), generation=1)
    for device in (TABLET, WATCH):
        new = token(device, 1)
        _has_no_token(linked, device)
        assert linked.fetch(device, new, 9) == []
        assert linked.one_time_prekey_count(device, new) == 0
        assert epoch_of(linked, device, new) == 0
        with pytest.raises(UnknownRecipient, match="has published no keys"):
            fetch_bundle(linked, BUDI, token(BUDI), device)
        # What was dropped does not come back when its sender repeats it.
        deposit(linked, token(BUDI), envelope(BUDI, device, 1).encode())
        assert linked.fetch(device, new, 9) == []
    assert linked.get_link(BOX, 0) is None
    assert len(linked.waiting(ANA)) == 1


def test_tokens_of_what_is_not_in_the_list_are_ignored(relay: Relay) -> None:
    publish(relay, 2, tokens=(TABLET, WATCH, Address(ANA.app, ANA.user, 127)))
    assert relay.fetch(TABLET, token(TABLET), 1) == []
    with pytest.raises(NotRegistered):
        relay.fetch(WATCH, token(WATCH), 1)


def test_tokens_of_many_are_taken_at_once(relay: Relay) -> None:
    devices = [Address(ANA.app, ANA.user, number) for number in range(113, 128)]
    publish(relay, *range(113, 128), tokens=devices)
    for device in devices:
        assert relay.fetch(device, token(device), 1) == []


# --- What is dropped ------------------------------------------------------------------------


def _has_no_token(relay: Relay, device: Address, generation: int = 0) -> None:
    old = token(device, generation)
    calls: list[Callable[[], object]] = [
        lambda: relay.fetch(device, old, 9),
        lambda: relay.epochs(device, old),
        lambda: relay.one_time_prekey_count(device, old),
        lambda: relay.acknowledge(device, old, [1]),
        lambda: relay.publish(old, published(device), epoch=50),
        lambda: relay.deposit_all(old, [envelope(device, BUDI, 77).encode()]),
        lambda: relay.fetch_keys(device, old, [KeysWanted(BUDI.user_id, None)]),
        lambda: relay.put_link(digest("a box")[:16], 0, b"offer", address=device, token=old),
    ]
    for call in calls:
        with pytest.raises(NotRegistered):
            call()


def test_a_device_that_a_list_leaves_out_is_dropped(linked: Relay, path: Path) -> None:
    deposit(linked, token(TABLET), envelope(TABLET, BUDI, 5).encode())
    linked.put_link(BOX, 0, b"offer", address=TABLET, token=token(TABLET))
    publish(linked, 3, seq=2)
    _has_no_token(linked, TABLET)
    with pytest.raises(UnknownRecipient):
        fetch_bundle(linked, BUDI, token(BUDI), TABLET)
    # Something new and something that it had: nobody is there.
    for number in (1, 2):
        with pytest.raises(UnknownRecipient, match=r"whatsapp:ana\.2 is not registered"):
            deposit(linked, token(BUDI), envelope(BUDI, TABLET, number).encode())
    assert linked.waiting(TABLET) == []
    assert linked.get_link(BOX, 0) is None
    connection = sqlite3.connect(path)
    for table, column in (
        ("accounts", "address"),
        ("one_time_prekeys", "address"),
        ("mailbox", "recipient"),
        ("mailboxes", "recipient"),
        ("waiting_from", "recipient"),
        ("link_boxes", "opened_by"),
    ):
        query = f"SELECT COUNT(*) FROM {table} WHERE {column} = ?"  # noqa: S608
        assert connection.execute(query, (str(TABLET),)).fetchone() == (0,), table
    connection.close()
    # What it had sent is on its way; and the others have all that they had.
    assert len(linked.waiting(BUDI)) == 1
    for device in (ANA, WATCH):
        assert len(linked.fetch(device, token(device), 9)) == 1
        assert linked.one_time_prekey_count(device, token(device)) == 5


def test_devices_that_stood_alone_before_the_first_list_are_dropped(relay: Relay) -> None:
    register(relay, TABLET, WATCH)
    publish(relay, 2)
    assert relay.fetch(TABLET, token(TABLET), 1) == []  # it is in the list, and keeps its token
    _has_no_token(relay, WATCH)


def test_what_a_dropped_device_got_is_remembered(path: Path, clock: FakeClock) -> None:
    """As after a reset: neither the same number's next holder gets it, nor is it kept for ever."""
    limits = RelayLimits(remembered_messages=3, remembered_ms=1_000)
    with Relay(path, limits=limits, clock=clock) as relay:
        register(relay, ANA, BUDI)
        publish(relay, 2, tokens=[TABLET])
        for number in range(3):
            deposit(relay, token(BUDI), envelope(BUDI, TABLET, number).encode())
        first = relay.fetch(TABLET, token(TABLET), 1)
        relay.acknowledge(TABLET, token(TABLET), [first[0].number])
        publish(relay, seq=2)
        publish(relay, 2, seq=3, tokens=[TABLET], generation=1)
        for number in range(4):
            deposit(relay, token(BUDI), envelope(BUDI, TABLET, number).encode())
        assert relay.waiting(TABLET) == [envelope(BUDI, TABLET, 3)]
        # Its own come after those: the oldest of four is forgotten, and no other.
        waiting = relay.fetch(TABLET, token(TABLET, 1), 9)
        relay.acknowledge(TABLET, token(TABLET, 1), [waiting[0].number])
        for number in range(4):
            deposit(relay, token(BUDI), envelope(BUDI, TABLET, number).encode())
        assert relay.waiting(TABLET) == [envelope(BUDI, TABLET, 0)]
        clock.now_ms += 1_000
        deposit(relay, token(BUDI), envelope(BUDI, ANA).encode())
        assert len(rows(path, "deposits")) == 2  # what waits


def test_other_accounts_are_not_touched(relay: Relay) -> None:
    others = [
        Address(ANA.app, "ana-", 2),
        Address(ANA.app, "an", 2),
        Address(ANA.app, "anab", 2),
        Address(BUDI.app, ANA.user, 2),
        Address(BUDI.app, BUDI.user, 2),
    ]
    register(relay, *others)
    publish(relay)
    for other in others:
        assert relay.fetch(other, token(other), 1) == []
        assert listed(relay, other) == b""


# --- Claims ---------------------------------------------------------------------------------


def _asking(path: Path, answer: bool) -> tuple[Relay, list[tuple[Address, bool]]]:
    asked: list[tuple[Address, bool]] = []

    def authorise(address: Address, taken: bool, credential: bytes) -> bool:
        asked.append((address, taken))
        return answer

    return Relay(path, authorise=authorise), asked


def test_nobody_claims_the_address_of_a_companion(path: Path) -> None:
    """Whatever the app's service says: it is not even asked."""
    relay, asked = _asking(path, True)
    with relay:
        register(relay, ANA, BUDI)
        publish(relay, 2, 3, tokens=[TABLET])
        asked.clear()
        free = Address(ANA.app, ANA.user, 9)
        for device in (TABLET, WATCH, free):
            for replaces in (b"", token(device, 9), token(ANA)):
                with pytest.raises(BackendRefused, match=f"{device} may not be claimed: .*link it"):
                    relay.register(device, token(device, 1), replaces=replaces)
        assert asked == []
        assert relay.fetch(TABLET, token(TABLET), 1) == []


def test_a_companion_registers_with_its_token_and_moves(linked: Relay) -> None:
    linked.register(TABLET, token(TABLET))
    linked.register(TABLET, token(TABLET, 1), replaces=token(TABLET))
    linked.register(TABLET, token(TABLET, 1), replaces=token(TABLET))
    _has_no_token(linked, TABLET)
    assert len(linked.fetch(TABLET, token(TABLET, 1), 9)) == 1
    assert linked.one_time_prekey_count(TABLET, token(TABLET, 1)) == 5
    with pytest.raises(BackendRefused):
        linked.register(TABLET, token(TABLET), replaces=token(TABLET))


def test_a_device_that_was_dropped_does_not_come_back(linked: Relay) -> None:
    publish(linked, 3, seq=2)
    for replaces in (b"", token(TABLET)):
        with pytest.raises(BackendRefused, match="link it from device 1"):
            linked.register(TABLET, token(TABLET), replaces=replaces)


def test_a_reset_of_device_1_drops_the_list_and_all_companions(path: Path) -> None:
    relay, asked = _asking(path, True)
    with relay:
        register(relay, ANA, BUDI, Address(BUDI.app, BUDI.user, 2))
        relay.publish_devices(
            token(BUDI),
            device_list(BUDI, 1, (1, 2)).encode(),
            {2: token_sha256(token(Address(BUDI.app, BUDI.user, 2)))},
        )
        publish(relay, 2, 3, seq=9, tokens=(TABLET, WATCH))
        for device in (ANA, TABLET):
            relay.publish(token(device), published(device, [1]))
            deposit(relay, token(BUDI), envelope(BUDI, device).encode())
        relay.put_link(BOX, 0, b"offer", address=ANA, token=token(ANA))
        relay.register(ANA, token(ANA, 1))
        assert asked[-1] == (ANA, True)
        for device in (ANA, TABLET, WATCH):
            _has_no_token(relay, device)
            assert relay.waiting(device) == []
        assert listed(relay) == b""
        assert relay.get_link(BOX, 0) is None
        [keys] = relay.fetch_keys(BUDI, token(BUDI), [KeysWanted(ANA.user_id, [1, 2, 3])])
        assert keys == UserKeys(b"", ())
        # Another account has all that it had.
        assert listed(relay, BUDI) == device_list(BUDI, 1, (1, 2)).encode()
        # A new account begins: its first list, and companions that are linked again.
        data = device_list(ANA, 1, (1, 2)).encode()
        relay.publish_devices(token(ANA, 1), data, {2: token_sha256(token(TABLET, 1))})
        assert listed(relay) == data
        assert relay.fetch(TABLET, token(TABLET, 1), 1) == []


def test_a_reset_of_device_1_without_a_list_leaves_others_alone(path: Path) -> None:
    """They are no devices of the same account: each stands for itself."""
    relay, _ = _asking(path, True)
    with relay:
        register(relay, ANA, TABLET)
        relay.register(ANA, token(ANA, 1))
        assert relay.fetch(TABLET, token(TABLET), 1) == []


def test_a_claim_that_the_service_refuses_leaves_the_list(linked: Relay) -> None:
    before = listed(linked)
    with pytest.raises(BackendRefused, match="it is taken"):
        linked.register(ANA, token(ANA, 1))
    assert listed(linked) == before != b""
    assert len(linked.fetch(TABLET, token(TABLET), 9)) == 1


def test_device_1_that_moves_keeps_list_and_companions(linked: Relay) -> None:
    before = listed(linked)
    linked.register(ANA, token(ANA, 1), replaces=token(ANA))
    assert listed(linked) == before != b""
    assert len(linked.fetch(TABLET, token(TABLET), 9)) == 1
    with pytest.raises(NotRegistered):
        publish(linked, 2, seq=2)
    linked.publish_devices(token(ANA, 1), device_list(ANA, 2).encode(), {})
    _has_no_token(linked, TABLET)


# --- The file -------------------------------------------------------------------------------


def test_one_call_is_one_transaction(linked: Relay, path: Path) -> None:
    """What fails on the way has dropped nobody, and given nobody a token."""
    operator = sqlite3.connect(path)
    with operator:
        operator.execute(
            "UPDATE mailboxes SET acknowledged = 'x' WHERE recipient = ?", (str(WATCH),)
        )
    before = rows(path, "accounts"), rows(path, "device_lists"), rows(path, "mailbox")
    with pytest.raises(BackendError, match="no relay wrote"):
        publish(linked, 4, seq=2, tokens=[Address(ANA.app, ANA.user, 4)], epoch=99)
    assert (rows(path, "accounts"), rows(path, "device_lists"), rows(path, "mailbox")) == before
    with operator:
        operator.execute("UPDATE mailboxes SET acknowledged = 0")
    operator.close()
    publish(linked, 4, seq=2, tokens=[Address(ANA.app, ANA.user, 4)], epoch=99)
    _has_no_token(linked, WATCH)


@pytest.mark.parametrize("change", ["seq = 'x'", "signed = 5", "signed = 'text'"])
def test_a_damaged_list_is_an_error_of_the_file(linked: Relay, path: Path, change: str) -> None:
    operator = sqlite3.connect(path)
    with operator:
        operator.execute(f"UPDATE device_lists SET {change}")  # noqa: S608
    operator.close()
    with pytest.raises(BackendError, match="no relay wrote"):
        publish(linked, 2, seq=2)
    if change.startswith("signed"):
        with pytest.raises(BackendError, match="no relay wrote"):
            listed(linked)


def test_all_of_it_is_there_after_a_restart(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI)
        data = publish(relay, 2, tokens=[TABLET])
    with Relay(path) as relay:
        assert listed(relay) == data
        assert relay.fetch(TABLET, token(TABLET), 1) == []
    for device in (ANA, TABLET):
        assert token(device) not in file_bytes(path)


def test_no_key_of_a_dropped_device_stays_in_the_file(path: Path) -> None:
    keys = published(TABLET, range(1, 4))
    with Relay(path) as relay:
        register(relay, ANA, BUDI)
        publish(relay, 2, tokens=[TABLET])
        relay.publish(token(TABLET), keys)
        deposit(relay, token(BUDI), envelope(BUDI, TABLET, 3).encode())
        publish(relay, seq=2)
    data = file_bytes(path)
    gone: Mapping[str, bytes] = {
        "signed prekey": keys.signed_prekey.public_key,
        "one-time prekey": keys.one_time_prekeys[0].public_key,
        "envelope": envelope(BUDI, TABLET, 3).ciphertext,
        "token": token_sha256(token(TABLET)),
    }
    assert not [name for name, part in gone.items() if part in data]


def test_a_list_uses_no_prekey_up_and_brings_none_back(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 4)))
    assert take(relay, BUDI, ANA) == 1
    publish(relay)
    assert take(relay, BUDI, ANA) == 2
