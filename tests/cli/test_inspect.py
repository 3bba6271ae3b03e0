# SPDX-License-Identifier: Apache-2.0
"""`inspect`: what it shows of an envelope, and that anything else is one clear line."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Address, Device, Envelope, MessageKind, PreKeyBundle, SenderKeyGroup, Text
from e2ecross.cli.describe import describe
from e2ecross.crypto.keys import decode_public_key
from e2ecross.stores import MemoryStore
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES, MAX_PUBLISHED_KEYS_BYTES
from e2ecross.wire.signal_message import (
    VERSION_4,
    decode_prekey_signal_message,
    encode_signal_message_body,
)
from tests.cli.support import Ended, call, run
from tests.support.devices import with_kyber
from tests.support.formats import BUNDLE, KEM_KEY, KYBER_BUNDLE, KYBER_PUBLISHED, PUBLISHED
from tests.support.points import GOOD_KEY

ANA, BUDI = Address("whatsapp", "ana"), Address("instagram", "budi")
TOKO = Address("messenger", "toko-kopi")
HIDDEN = "the cake is in the oven"


class Mail:
    """One message of each kind."""

    def __init__(self) -> None:
        self.ana = Device.create(ANA, MemoryStore())
        self.budi = Device.create(BUDI, MemoryStore())
        published = self.budi.publish(one_time=1)
        (one_time,) = published.one_time_prekeys
        self.bundle = PreKeyBundle(
            address=BUDI,
            registration_id=published.registration_id,
            identity_key=published.identity_key,
            signed_prekey_id=published.signed_prekey.id,
            signed_prekey=published.signed_prekey.public_key,
            signed_prekey_signature=published.signed_prekey.signature,
            one_time_prekey_id=one_time.id,
            one_time_prekey=one_time.public_key,
        )
        self.ana.start_session(self.bundle)
        self.prekey = self.ana.encrypt(BUDI, Text(HIDDEN))
        self.budi.decrypt(self.prekey)
        self.signal = self.budi.encrypt(ANA, Text(HIDDEN))
        toko = Device.create(TOKO, MemoryStore())
        toko.start_session(with_kyber(self.bundle, published.last_resort_kyber_prekey))
        self.prekey_4 = toko.encrypt(BUDI, Text(HIDDEN))
        self.budi.confirm_published(published)
        self.budi_unconfirmed = self.budi.publish(1000).encode()


MAIL = Mail()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inspect") / "envelope"


def _inspect(file: Path, data: bytes, *options: str) -> Ended:
    file.write_bytes(data)
    return call("inspect", *options, str(file))


def _is_refused(ended: Ended) -> bool:
    one_line = len(ended.err.splitlines()) == 1
    return one_line and (ended.code, ended.out) == (1, "") and "Traceback" not in ended.err


def test_a_prekey_message_shows_how_the_session_starts(file: Path) -> None:
    data = MAIL.prekey.encode()
    ended = _inspect(file, data)
    assert (ended.code, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= 80
    text = "".join(ended.out.split())
    for shown in (
        str(ANA),
        str(BUDI),
        MAIL.prekey.message_id.hex(),
        f"{len(data)} bytes",
        f"{len(MAIL.prekey.ciphertext)} bytes",
        f"registration id {MAIL.ana.registration_id} ",
        f"signed prekey id {MAIL.bundle.signed_prekey_id} ",
        f"one-time prekey id {MAIL.bundle.one_time_prekey_id} ",
        MAIL.ana.identity_key.hex(),
    ):
        assert shown.replace(" ", "") in text
    assert HIDDEN not in ended.out


def test_a_message_of_a_session_shows_its_public_header(file: Path) -> None:
    ended = _inspect(file, MAIL.signal.encode(), "--json")
    view = json.loads(ended.out)
    assert (ended.code, view["kind"], view["prekey"], view["problem"]) == (0, "signal", None, None)
    assert (view["sender"], view["recipient"]) == (str(BUDI), str(ANA))
    message = view["message"]
    assert (message["counter"], message["previous_counter"]) == (0, 0)
    assert bytes.fromhex(message["ratchet_key"]) in MAIL.signal.ciphertext
    assert bytes.fromhex(message["encrypted"]) in MAIL.signal.ciphertext
    assert bytes.fromhex(message["mac"]) == MAIL.signal.ciphertext[-8:]
    assert MAIL.budi.identity_key.hex() not in ended.out


def test_a_prekey_message_without_one_time_prekey_says_none(file: Path) -> None:
    budi = Device.create(BUDI, MemoryStore())
    published = budi.publish(one_time=0)
    ana = Device.create(ANA, MemoryStore())
    ana.start_session(
        PreKeyBundle(
            address=BUDI,
            registration_id=published.registration_id,
            identity_key=published.identity_key,
            signed_prekey_id=published.signed_prekey.id,
            signed_prekey=published.signed_prekey.public_key,
            signed_prekey_signature=published.signed_prekey.signature,
        )
    )
    ended = _inspect(file, ana.encrypt(BUDI, Text(HIDDEN)).encode())
    assert "one-time prekey id  none" in ended.out


def test_a_prekey_message_of_version_4_shows_what_was_encapsulated(file: Path) -> None:
    outer = decode_prekey_signal_message(MAIL.prekey_4.ciphertext, (VERSION_4,))
    assert outer.kyber is not None
    ended = _inspect(file, MAIL.prekey_4.encode())
    assert (ended.code, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= 80
    text = "".join(ended.out.split())
    shown = f"Kyber prekey id {outer.kyber.prekey_id} (the recipient's) KEM ciphertext 1569 bytes:"
    assert f"{shown} {outer.kyber.ciphertext[:64].hex()} ...".replace(" ", "") in text
    assert "version 4" in " ".join(ended.out.split())
    view = json.loads(_inspect(file, MAIL.prekey_4.encode(), "--json").out)
    assert view["prekey"]["kyber_prekey_id"] == outer.kyber.prekey_id
    assert bytes.fromhex(view["prekey"]["kyber_ciphertext"]) == outer.kyber.ciphertext
    assert view["message"]["version"] == 4
    assert HIDDEN not in ended.out


def test_a_message_of_version_4_shows_its_other_fields(file: Path) -> None:
    body = encode_signal_message_body(
        decode_public_key(GOOD_KEY), 7, 3, bytes(32), VERSION_4, b"\1\1\1\0", bytes(range(36))
    )
    data = Envelope(bytes(16), ANA, BUDI, MessageKind.SIGNAL, body + b"\xa5" * 8).encode()
    message = json.loads(_inspect(file, data, "--json").out)["message"]
    assert (message["version"], message["pq_ratchet"]) == (4, "01010100")
    assert bytes.fromhex(message["addresses"]) == bytes(range(36))
    text = " ".join(_inspect(file, data).out.split())
    assert "SPQR message 4 bytes: 01010100" in text
    assert f"addresses {bytes(range(36)).hex()[:50]}" in text
    view = json.loads(_inspect(file, MAIL.signal.encode(), "--json").out)
    assert [view["message"][name] for name in ("version", "pq_ratchet", "addresses")] == [
        3,
        None,
        None,
    ]


@pytest.mark.parametrize(("bundle", "version"), [(BUNDLE, 3), (KYBER_BUNDLE, 4)])
def test_a_bundle_shows_its_keys(file: Path, bundle: PreKeyBundle, version: int) -> None:
    ended = _inspect(file, bundle.encode())
    assert (ended.code, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= 80
    text = " ".join(ended.out.split())
    assert f"for sessions of version {version}" in text
    assert ("Kyber prekey id 4 1569 bytes: 08" in text) is (version == 4)
    view = json.loads(_inspect(file, bundle.encode(), "--json").out)
    assert (view["kind"], view["address"], view["size_bytes"]) == (
        "bundle",
        str(bundle.address),
        len(bundle.encode()),
    )
    assert view["identity_key"] == bundle.identity_key.hex()
    assert view["signed_prekey"] == {
        "id": 2,
        "public_key": bundle.signed_prekey.hex(),
        "signature": bundle.signed_prekey_signature.hex(),
    }
    assert [prekey["id"] for prekey in view["one_time_prekeys"]] == [3]
    kyber = view["kyber_prekeys"]
    assert [bytes.fromhex(prekey["public_key"]) for prekey in kyber] == [KEM_KEY] * (version - 3)
    assert view["last_resort_kyber_prekey"] is None


def test_a_bundle_with_the_least_in_it(file: Path) -> None:
    bundle = replace(BUNDLE, one_time_prekey_id=None, one_time_prekey=None, identity_key=b"")
    view = json.loads(_inspect(file, bundle.encode(), "--json").out)
    assert (view["one_time_prekeys"], view["kyber_prekeys"]) == ([], [])
    assert "one-time prekey" not in _inspect(file, bundle.encode()).out


def test_a_publication_shows_its_keys(file: Path) -> None:
    ended = _inspect(file, KYBER_PUBLISHED.encode())
    text = " ".join(ended.out.split())
    assert (ended.code, ended.err) == (0, "")
    assert "one-time prekeys 2, ids 1 to 4294967295" in text
    assert "Kyber prekeys 1, ids 4294967295 to 4294967295 last-resort prekey id 4 1569" in text
    assert "version 4" in text
    view = json.loads(_inspect(file, KYBER_PUBLISHED.encode(), "--json").out)
    assert view["kind"] == "publication"
    assert [prekey["signature"] for prekey in view["one_time_prekeys"]] == [None, None]
    assert bytes.fromhex(view["last_resort_kyber_prekey"]["public_key"]) == KEM_KEY
    assert len(view["kyber_prekeys"]) == 1
    view = json.loads(_inspect(file, PUBLISHED.encode(), "--json").out)
    assert (view["kyber_prekeys"], view["last_resort_kyber_prekey"]) == ([], None)
    text = " ".join(_inspect(file, PUBLISHED.encode()).out.split())
    assert "Kyber prekeys none" in text
    assert "version 3" in text


def test_the_largest_publication_is_shown(file: Path) -> None:
    published = MAIL.budi_unconfirmed
    assert len(published) > MAX_ENVELOPE_BYTES
    view = json.loads(_inspect(file, published, "--json").out)
    assert len(view["kyber_prekeys"]) == len(view["one_time_prekeys"]) == 1000


def test_an_envelope_around_something_else_is_still_an_envelope(file: Path) -> None:
    data = Envelope(bytes(16), ANA, BUDI, MessageKind.SIGNAL, b"U" * 40).encode()
    ended = _inspect(file, data)
    assert (ended.code, ended.err) == (0, "")
    text = " ".join(ended.out.split())
    assert "does not decode: Signal message version 5 is not supported" in text
    view = describe(data)
    assert view.message is None
    assert view.problem is not None


def test_a_message_into_a_group_shows_which_sender_key_it_is_under(file: Path) -> None:
    ana = Device.create(ANA, MemoryStore())
    group = SenderKeyGroup.uuid(bytes(range(16)))
    ana.new_sender_key_raw(group)
    ana.encrypt_group_raw(group, HIDDEN.encode())
    message = ana.encrypt_group_raw(group, HIDDEN.encode())
    data = Envelope(bytes(16), ANA, BUDI, MessageKind.SENDER_KEY, message).encode()
    view = json.loads(_inspect(file, data, "--json").out)
    assert (view["kind"], view["message"], view["problem"]) == ("sender_key", None, None)
    shown = view["sender_key"]
    assert (shown["distribution_id"], shown["iteration"]) == (bytes(range(16)).hex(), 1)
    assert bytes.fromhex(shown["signature"]) == message[-64:]
    assert bytes.fromhex(shown["encrypted"]) in message
    assert shown["encrypted_bytes"] % 16 == 0
    ended = _inspect(file, data)
    text = " ".join(ended.out.split())
    assert (ended.code, ended.err) == (0, "")
    assert "kind message into a group, under its sender's key" in text
    assert f"distribution id {bytes(range(16)).hex()}" in text
    assert f"chain id {shown['chain_id']} iteration 1 (of that key" in text
    assert HIDDEN not in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80
    broken = Envelope(bytes(16), ANA, BUDI, MessageKind.SENDER_KEY, b"\x33").encode()
    ended = _inspect(file, broken)
    assert "does not decode" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80


def test_standard_input_is_read_and_the_exit_code_is_that_of_the_process() -> None:
    ended = run("inspect", "-", stdin=MAIL.prekey.encode())
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert str(ANA).encode() in ended.stdout
    ended = run("inspect", "-", stdin=b"halo")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"e2ecross inspect: standard input: not an envelope: ")


def test_a_missing_file_a_folder_and_an_impossible_name_are_told(tmp_path: Path) -> None:
    for name, why in (
        (str(tmp_path / "nothing"), "No such file"),
        (str(tmp_path), "directory"),
        ("a\0b", "not the name of a file"),
        ("", "No such file"),
        ("two\nlines", "No such file"),
        ("\udcff", "No such file"),
    ):
        ended = call("inspect", name)
        assert _is_refused(ended)
        assert why in ended.err


def test_no_more_than_the_limit_is_read(file: Path) -> None:
    ended = _inspect(file, bytes(MAX_PUBLISHED_KEYS_BYTES + 1))
    assert _is_refused(ended)
    assert f"more than {MAX_PUBLISHED_KEYS_BYTES} bytes" in ended.err
    ended = _inspect(file, bytes(MAX_PUBLISHED_KEYS_BYTES))
    assert _is_refused(ended)
    assert f"more than the {MAX_ENVELOPE_BYTES} allowed" in ended.err  # for an envelope
    if os.path.exists("/dev/zero"):  # it would never end
        assert _is_refused(call("inspect", "/dev/zero"))


def test_a_newer_envelope_is_told(file: Path) -> None:
    data = MAIL.prekey.encode()
    assert data[:2] == b"\x08\x01"  # the version
    ended = _inspect(file, b"\x08\x02" + data[2:])
    assert _is_refused(ended)
    assert "envelope version 2 is not supported" in ended.err


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_in_one_line(file: Path, data: bytes) -> None:
    assert _is_refused(_inspect(file, data))


@given(st.data())
def test_a_damaged_envelope_is_shown_or_refused(file: Path, data: st.DataObject) -> None:
    genuine = data.draw(
        st.sampled_from(
            [
                MAIL.prekey.encode(),
                MAIL.signal.encode(),
                MAIL.prekey_4.encode(),
                KYBER_BUNDLE.encode(),
                KYBER_PUBLISHED.encode(),
            ]
        )
    )
    at = data.draw(st.integers(0, len(genuine) - 1))
    piece = data.draw(st.binary(max_size=3))
    ended = _inspect(file, genuine[:at] + piece + genuine[at + 1 :])
    assert _is_refused(ended) or (ended.code, ended.err) == (0, "")
