# SPDX-License-Identifier: Apache-2.0
"""The relay of the page: its operator sees what passes, in its order, and can hold it."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2ecross.address import Address
from e2ecross.demo.web.watched_relay import WatchedRelay
from e2ecross.errors import BackendRefused
from e2ecross.relay import Relay
from e2ecross.wire.exchange import KeysWanted, UserKeys, Waiting
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    copies,
    device_list,
    envelope,
    published,
    token,
)

_NOBODY = Address("whatsapp", "nobody")
CITRA = Address("instagram", "citra")
Said = list[Mapping[str, Any]]


@pytest.fixture
def said() -> Said:
    return []


@pytest.fixture
def relay(tmp_path: Path, said: Said) -> Iterator[WatchedRelay]:
    with WatchedRelay(tmp_path, said.append) as opened:
        for address in (ANA, BUDI, TOKO):
            opened.register(address, token(address), credential=opened.credential_for(address))
        yield opened


def _steps(said: Said) -> list[tuple[int, str, list[str]]]:
    return [(blob["number"], blob["step"], blob["to"]) for blob in said]


def test_a_blob_is_seen_once_on_its_way_in_and_once_on_its_way_out(
    relay: WatchedRelay, said: Said
) -> None:
    sent = envelope(ANA, BUDI, size=100)
    for _ in range(2):  # a repetition changes nothing
        relay.deposit_all(token(ANA), [sent.encode()])
    for _ in range(2):
        assert relay.fetch(BUDI, token(BUDI), 10)
    assert _steps(said) == [(1, "deposited", [str(BUDI)]), (1, "fetched", [str(BUDI)])]
    for blob in said:
        assert (blob["what"], blob["from"]) == ("message", str(ANA))
        assert blob["bytes"] == len(sent.encode())
        assert blob["hex"] == sent.ciphertext[:64].hex()


def test_what_is_refused_is_not_shown(relay: WatchedRelay, said: Said) -> None:
    came = relay.deposit_all(
        token(ANA), [envelope(ANA, _NOBODY).encode(), envelope(ANA, BUDI, 1).encode()]
    )
    assert list(came.refused) == [0]
    assert _steps(said) == [(1, "deposited", [str(BUDI)])]


def test_a_message_for_several_is_one_blob(relay: WatchedRelay, said: Said) -> None:
    relay.deposit_copies(token(ANA), copies(ANA, 0, BUDI, _NOBODY, TOKO).encode())
    for each in (TOKO, BUDI):
        relay.fetch(each, token(each), 10)
    both = [str(BUDI), str(TOKO)]
    fetched = [(1, "fetched", [str(each)]) for each in (TOKO, BUDI)]
    assert _steps(said) == [(1, "deposited", both), *fetched]
    assert {blob["what"] for blob in said} == {"group message"}


def test_a_file_is_seen_without_its_readers(relay: WatchedRelay, said: Said) -> None:
    blob_id, data = bytes(range(200, 232)), bytes(range(100))
    relay.begin_blob(ANA, token(ANA), blob_id, 100)
    relay.put_blob(ANA, token(ANA), blob_id, 0, data[:60])
    assert said == []
    relay.put_blob(ANA, token(ANA), blob_id, 60, data[60:])
    relay.get_blob(blob_id, 60, 40)
    relay.get_blob(blob_id, 0, 60)
    assert _steps(said) == [(1, "deposited", []), (1, "fetched", [])]
    for blob in said:
        assert (blob["what"], blob["from"], blob["bytes"]) == ("file", str(ANA), 100)
        assert blob["hex"] == data[:60].hex()
        assert blob_id.hex() not in str(blob)  # who knows it may read the file


def test_what_is_held_is_not_handed_out(relay: WatchedRelay, said: Said) -> None:
    relay.deposit_all(token(ANA), [envelope(ANA, BUDI, 1).encode()])
    relay.deposit_all(token(TOKO), [envelope(TOKO, BUDI, 2).encode()])

    def holds(_: Address, encoded: bytes) -> bool:
        return encoded == envelope(ANA, BUDI, 1).encode()

    relay.hold(holds)
    (only,) = relay.fetch(BUDI, token(BUDI), 10)
    assert only.envelope == envelope(TOKO, BUDI, 2).encode()
    relay.release(holds)
    assert len(relay.fetch(BUDI, token(BUDI), 10)) == 2
    assert [number for number, step, _ in _steps(said) if step == "fetched"] == [2, 1]


def test_what_was_read_while_it_was_held_is_not_handed_out_after_it(
    relay: WatchedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay.deposit_all(token(ANA), [envelope(ANA, BUDI, 1).encode()])
    fetch, is_read, may_go_on = Relay.fetch, threading.Event(), threading.Event()

    def slow(*arguments: Any, **named: Any) -> list[Waiting]:  # noqa: ANN401
        found = fetch(*arguments, **named)
        is_read.set()
        may_go_on.wait(30)
        return found

    def holds(_: Address, encoded: bytes) -> bool:
        return True

    monkeypatch.setattr(Relay, "fetch", slow)
    relay.hold(holds)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(relay.fetch, BUDI, token(BUDI), 10)
        assert is_read.wait(30)
        threading.Timer(0.1, may_go_on.set).start()
        relay.release(holds)
        may_go_on.set()
        assert found.result() == []


def test_what_the_operator_puts_there_is_another_blob(relay: WatchedRelay, said: Said) -> None:
    sent = envelope(ANA, BUDI)
    relay.deposit_all(token(ANA), [sent.encode()])
    assert not relay.was_put_by_hand(sent.encode())
    relay.note_by_hand(sent.encode())
    assert relay.was_put_by_hand(sent.encode())
    assert [number for number, _, _ in _steps(said)] == [1, 2]


def test_envelopes_are_remembered_for_a_while(relay: WatchedRelay) -> None:
    first, last = envelope(ANA, BUDI, 0), envelope(ANA, BUDI, 300)
    relay.deposit_all(token(ANA), [envelope(ANA, BUDI, number).encode() for number in range(301)])
    assert relay.find(first.message_id.hex(), str(BUDI)) is None
    assert relay.find(last.message_id.hex(), str(BUDI)) == last.encode()


def test_keys_may_come_from_somewhere_else(relay: WatchedRelay) -> None:
    relay.publish(token(BUDI), published(BUDI))
    relay.publish_devices(token(BUDI), device_list(BUDI).encode(), {})
    wanted = KeysWanted(BUDI.user_id, ())
    (genuine,) = relay.fetch_keys(ANA, token(ANA), [wanted])
    assert isinstance(genuine, UserKeys)
    assert relay.has_handed_out(str(ANA.user_id), genuine.device_list)
    other = UserKeys(b"another list", ())
    relay.key_source = lambda requester, keys: other if requester == ANA.user_id else None
    assert relay.fetch_keys(ANA, token(ANA), [wanted]) == [other]
    assert relay.fetch_keys(TOKO, token(TOKO), [wanted]) == [genuine]
    assert relay.has_handed_out(str(ANA.user_id), other.device_list)
    assert not relay.has_handed_out(str(TOKO.user_id), other.device_list)


def test_keys_and_lists_are_seen_when_they_are_published_and_handed_out(
    relay: WatchedRelay, said: Said
) -> None:
    signed = device_list(BUDI).encode()
    for _ in range(2):
        relay.publish(token(BUDI), published(BUDI))
    relay.publish_devices(token(BUDI), signed, {})
    about = [("public keys", str(BUDI)), ("device list", str(BUDI.user_id))]
    assert [(blob["what"], blob["from"]) for blob in said] == about
    assert [blob["bytes"] for blob in said] == [len(published(BUDI).encode()), len(signed)]
    assert _steps(said) == [(1, "deposited", []), (2, "deposited", [])]
    wanted = KeysWanted(BUDI.user_id, (BUDI.device,))
    ((first,), _) = (relay.fetch_keys(ANA, token(ANA), [wanted]) for _ in range(2))
    assert isinstance(first, UserKeys)
    handed_out = [(2, "fetched"), (3, "fetched"), (4, "fetched")]  # the list is shown once
    assert _steps(said)[2:] == [(*step, [str(ANA)]) for step in handed_out]
    assert (said[3]["what"], said[3]["from"]) == about[0]
    assert said[3]["hex"] == first.bundles[0].encode()[:64].hex()
    relay.key_source = lambda requester, keys: UserKeys(b"another list", ())
    relay.fetch_keys(ANA, token(ANA), [wanted])
    assert said[-1]["hex"] == b"another list".hex()
    assert _steps(said)[-1] == (5, "fetched", [str(ANA)])
    assert not any(token(BUDI).hex() in str(blob) for blob in said)


def test_messages_of_linking_are_seen_once_either_way(relay: WatchedRelay, said: Said) -> None:
    link_id = bytes(range(16))
    assert relay.get_link(link_id, 1) is None
    relay.put_link(link_id, 0, b"offer", address=ANA, token=token(ANA))
    for _ in range(2):
        relay.put_link(link_id, 1, b"answer")
        assert relay.get_link(link_id, 1) == b"answer"
    assert [blob["from"] for blob in said] == [str(ANA), "", ""]
    assert {blob["what"] for blob in said} == {"message of linking"}
    assert _steps(said) == [(1, "deposited", []), (2, "deposited", []), (2, "fetched", [])]
    assert link_id.hex() not in str(said)  # who knows it may answer


def test_others_on_this_machine_get_no_account(relay: WatchedRelay) -> None:
    for credential in (b"", relay.credential_for(ANA), bytes(40)):
        with pytest.raises(BackendRefused):
            relay.register(CITRA, token(CITRA), credential=credential)
    with pytest.raises(BackendRefused):
        relay.register(ANA, token(ANA, 1))
