# SPDX-License-Identifier: Apache-2.0
"""`Device`: the API as it is promised, its arguments, content, and the raw Signal layer."""

import inspect
import os
from collections.abc import Callable
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, cast

import pytest

import e2ecross
from e2ecross import (
    Address,
    App,
    Bytes,
    Client,
    Device,
    Envelope,
    FailedMessage,
    Framed,
    Media,
    Message,
    MessageKind,
    MessageRef,
    Policy,
    PreKeyBundle,
    PublishedKeys,
    Reaction,
    Receipt,
    SafetyNumber,
    SessionInfo,
    Text,
    UnsupportedContent,
    UserId,
)
from e2ecross.address import DEFAULT_DEVICE
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    DeviceExists,
    DuplicateMessage,
    EnvelopeMismatch,
    InvalidArgument,
    InvalidKey,
    InvalidSignature,
    NoDevice,
    NoSession,
    RecordCorrupted,
    RemoteError,
    SessionExhausted,
    StoreTooNew,
    UnknownPrekey,
    UnknownSession,
    UnsupportedVersion,
)
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    BackendSimulator,
    FakeClock,
    Stores,
    bundle_from,
    dump,
    garbage,
    introduce,
    make_device,
    new_bundle,
    reopen_device,
    say,
    start,
)
from tests.support.entropy import SeededEntropy
from tests.support.formats import ATTACHMENT

# --- The API, literally ---------------------------------------------------------------------


def test_promised_names_can_be_imported_from_the_package() -> None:
    promised = (
        "Address App Bytes Client Device Envelope FailedMessage Message MessageKind Policy "
        "PreKeyBundle PublishedKeys SafetyNumber Text UnsupportedContent"
    )
    assert set(promised.split()) <= set(e2ecross.__all__)
    assert all(hasattr(e2ecross, name) for name in e2ecross.__all__)


def test_address_is_spelled_as_promised() -> None:
    assert str(Address("whatsapp", "ana")) == "whatsapp:ana.1"
    assert Address("whatsapp", "ana").device == DEFAULT_DEVICE == 1
    assert Address.parse("instagram:budi.2") == Address("instagram", "budi", 2)
    assert Address("whatsapp", "ana").app is App.WHATSAPP
    assert [app.value for app in App] == ["whatsapp", "instagram", "messenger"]


def _signature(function: Callable[..., object]) -> list[str]:
    """Names of the arguments; `*` before those that are keywords; `=` with the default."""
    out = []
    for name, parameter in inspect.signature(function).parameters.items():
        star = "*" if parameter.kind is parameter.KEYWORD_ONLY else ""
        default = parameter.default
        plain = default is None or isinstance(default, int)
        value = "" if default is parameter.empty else f"={default}" if plain else "=…"
        out.append(f"{star}{name}{value}")
    return [name for name in out if name != "self"]


@pytest.mark.parametrize(
    ("function", "promised"),
    [
        (Device.create, "address store *policy=None *clock=… *entropy=… *witness=None"),
        (
            Device.open,
            "store *policy=None *clock=… *entropy=… *witness=None *restored=False *progress=None",
        ),
        (
            Device.import_identity,
            "backup passphrase store *policy=None *clock=… *entropy=… *witness=None",
        ),
        (Device.export_identity, "passphrase *cost=…"),
        (Device.session_info, "address"),
        (Device.publish, "one_time=100"),
        (Device.confirm_published, "published"),
        (Device.has_session, "address"),
        (Device.start_session, "bundle"),
        (Device.encrypt, "address content *message_id=None"),
        (Device.decrypt, "envelope"),
        (Device.accept_identity, "address identity_key"),
        (Device.mark_verified, "address identity_key"),
        (Device.remote_identity, "address"),
        (Device.safety_number, "address"),
        (Device.encrypt_raw, "address plaintext"),
        (Device.decrypt_raw, "address kind data"),
        (Client, "device backend *blobs=None *spool_dir=None *wait_ms=0 *metrics=None"),
        (Client.register, ""),
        (Client.maintain, ""),
        (
            Client.send,
            "recipient content *message_id=None *expiry=None *view_once=False *fallback=None "
            "*allow_lossy=False *purpose=None",
        ),
        (
            Client.send_many,
            "recipients content *message_id=None *progress=None *expiry=None *view_once=False "
            "*fallback=None *allow_lossy=False *purpose=None",
        ),
        (Client.plan, "recipient content *expiry=None *view_once=False *fallback=None"),
        (
            Client.forward,
            "message recipient *message_id=None *expiry=None *view_once=False *fallback=None "
            "*allow_lossy=False",
        ),
        (Client.receive, "limit=100 *progress=None"),
        (Client.confirm, "items"),
        (Client.uploads, ""),
        (Client.download, "attachment path progress=None"),
        (Client.open_attachment, "attachment"),
        (SafetyNumber.matches, "scanned"),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_every_method_has_the_promised_arguments(
    function: Callable[..., object], promised: str
) -> None:
    assert _signature(function) == promised.split()


@pytest.mark.parametrize(
    ("cls", "promised"),
    [
        (
            PublishedKeys,
            "address registration_id identity_key signed_prekey one_time_prekeys kyber_prekeys "
            "last_resort_kyber_prekey",
        ),
        (
            PreKeyBundle,
            "address registration_id identity_key signed_prekey_id signed_prekey "
            "signed_prekey_signature one_time_prekey_id one_time_prekey kyber_prekey_id "
            "kyber_prekey kyber_prekey_signature",
        ),
        (Envelope, "message_id sender recipient kind ciphertext"),
        (
            Message,
            "sender message_id sent_at_ms content identity_changed redelivered receipt "
            "version_downgraded peer own_copy historical ref expiry view_once request expired "
            "blocked moderator group framed",
        ),
        (FailedMessage, "sender message_id error redelivered retrying receipt group"),
        (SafetyNumber, "digits scannable"),
        (
            e2ecross.SessionInfo,
            "can_send acknowledged without_one_time_prekey archived",
        ),
        (e2ecross.SignedPrekey, "id public_key signature"),
        (e2ecross.OneTimePrekey, "id public_key"),
        (
            e2ecross.Sent,
            "message_id deliveries list_expired plan sender peer sent_at_ms content moderator "
            "group",
        ),
        (UnsupportedContent, "kind body"),
        (Text, "text mentions reply_to"),
        (Bytes, "data"),
    ],
)
def test_every_value_has_the_promised_attributes(cls: type[Any], promised: str) -> None:
    assert [field.name for field in fields(cls)] == promised.split()


def test_message_kinds_have_the_numbers_of_signal() -> None:
    assert (MessageKind.SIGNAL, MessageKind.PREKEY) == (2, 3)


def test_a_bundle_needs_no_one_time_prekey() -> None:
    published = make_device(BUDI).publish()
    bundle = PreKeyBundle(
        address=published.address,
        registration_id=published.registration_id,
        identity_key=published.identity_key,
        signed_prekey_id=published.signed_prekey.id,
        signed_prekey=published.signed_prekey.public_key,
        signed_prekey_signature=published.signed_prekey.signature,
    )
    assert bundle.one_time_prekey_id is None
    assert bundle.one_time_prekey is None
    ana = make_device(ANA)
    ana.start_session(bundle)
    assert ana.has_session(BUDI)


# --- Identity -------------------------------------------------------------------------------


def test_a_device_is_the_same_after_it_was_opened_again(stores: Stores) -> None:
    device = make_device(ANA, stores.open("ana"))
    opened = Device.open(stores.reopen("ana"))
    for name in ("address", "identity_key", "registration_id"):
        assert getattr(opened, name) == getattr(device, name)
    assert opened.identity_key[0] == 5
    assert len(opened.identity_key) == 33


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [(bytes(7), 1), (b"\xff" * 7, (2**56 - 1) % 16380 + 1), ((16379).to_bytes(7), 16380)],
)
def test_registration_id_is_from_1_to_16380(drawn: bytes, expected: int) -> None:
    class Entropy(SeededEntropy):
        def bytes(self, n: int) -> bytes:
            return drawn if n == 7 else super().bytes(n)

    device = Device.create(ANA, MemoryStore(), entropy=Entropy(0))
    assert device.registration_id == expected
    assert 1 <= expected <= 16380


def test_two_devices_share_no_key_with_the_default_entropy() -> None:
    one, two = Device.create(ANA, MemoryStore()), Device.create(ANA, MemoryStore())
    assert one.identity_key != two.identity_key
    assert one.publish(1).one_time_prekeys != two.publish(1).one_time_prekeys


def test_a_store_holds_one_device(stores: Stores) -> None:
    store = stores.open("ana")
    make_device(ANA, store)
    before = dump(store)
    with pytest.raises(DeviceExists, match=r"Device\.open") as caught:
        make_device(BUDI, store)
    assert caught.value.code == "device_exists"
    assert dump(store) == before


def test_an_empty_store_opens_no_device(stores: Stores) -> None:
    with pytest.raises(NoDevice, match=r"Device\.create") as caught:
        Device.open(stores.open("ana"))
    assert caught.value.code == "no_device"


def test_a_device_record_of_a_later_release_is_refused_with_both_versions() -> None:
    store = MemoryStore()
    make_device(ANA, store)
    with store.transaction() as tx:
        tx.put(Table.DEVICE, b"", b"", b"\x02later")
    with pytest.raises(StoreTooNew, match=r"version 2.*up to 1"):
        Device.open(store)


def test_repr_shows_the_address_and_no_key() -> None:
    device = make_device(ANA)
    assert repr(device) == "<Device whatsapp:ana.1>"
    assert repr(device._context) == "<Context: secret>"


def test_the_default_clock_tells_milliseconds_since_1970() -> None:
    ana, budi = Device.create(ANA, MemoryStore()), Device.create(BUDI, MemoryStore())
    start(ana, budi)
    sent_at_ms = budi.decrypt(ana.encrypt(BUDI, Text("halo"))).sent_at_ms
    assert 1_600_000_000_000 < sent_at_ms < 10_000_000_000_000


# --- Messages -------------------------------------------------------------------------------


def test_a_conversation_survives_opening_both_devices_before_each_message(stores: Stores) -> None:
    ana, budi = make_device(ANA, stores.open("ana")), make_device(BUDI, stores.open("budi"))
    start(ana, budi)
    for turn in range(6):
        ana = reopen_device(ana, stores.reopen("ana"), f"ana {turn}")
        budi = reopen_device(budi, stores.reopen("budi"), f"budi {turn}")
        say(ana, budi, f"a {turn}")
        say(ana, budi, f"b {turn}")
        if turn % 2:
            say(budi, ana, f"c {turn}")


def test_a_message_carries_what_the_sender_said_and_when() -> None:
    clock = FakeClock()
    ana, budi = make_device(ANA, clock=clock), make_device(BUDI)
    start(ana, budi)
    clock.advance(5)
    envelope = ana.encrypt(BUDI, Text("halo"), message_id=MESSAGE_ID)
    assert (envelope.sender, envelope.recipient, envelope.message_id) == (ANA, BUDI, MESSAGE_ID)
    message = budi.decrypt(envelope)
    assert message == Message(ANA, MESSAGE_ID, NOW_MS + 5, Text("halo"), False, peer=ANA.user_id)


def test_message_ids_are_16_bytes_and_new_each_time() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    ids = {ana.encrypt(BUDI, Text("halo")).message_id for _ in range(20)}
    assert len(ids) == 20
    assert {len(message_id) for message_id in ids} == {16}


def test_decrypt_takes_an_envelope_or_its_encoding() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    first, second = ana.encrypt(BUDI, Text("one")), ana.encrypt(BUDI, Text("two"))
    assert Envelope.decode(first.encode()) == first
    assert budi.decrypt(first).content == Text("one")
    assert budi.decrypt(second.encode()).content == Text("two")


@pytest.mark.parametrize(
    "content",
    [
        Text(""),
        Bytes(b""),
        Text("halo 👋 \0 é"),
        Bytes(bytes(range(256))),
        Text("é" * 32_768),
        Text("x" * 65_536),
        Bytes(b"\xff" * 65_536),
    ],
    ids=repr,
)
def test_content_arrives_as_it_was_sent(content: Text | Bytes) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    assert budi.decrypt(ana.encrypt(BUDI, content).encode()).content == content


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Text("x" * 65_537), "text"),
        (lambda: Text("é" * 32_769), "text"),
        (lambda: Text("\ud800"), "text"),
        (lambda: Text(cast("Any", b"x")), "text"),
        (lambda: Bytes(b"x" * 65_537), "data"),
        (lambda: Bytes(cast("Any", "x")), "data"),
        (lambda: Bytes(cast("Any", bytearray(1))), "data"),
    ],
)
def test_content_that_is_too_long_or_of_another_type_is_refused(
    make: Callable[[], object], name: str
) -> None:
    with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
        make()


def test_content_of_a_newer_sender_is_handed_over_and_can_be_passed_on() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    content = UnsupportedContent(12, b"a later format")
    assert budi.decrypt(ana.encrypt(BUDI, content)).content == content


def test_a_device_takes_and_gives_contents_in_their_frames() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    ref = MessageRef(BUDI.user_id, bytes(16), bytes(32))
    for content in (Text("halo", reply_to=ref), Reaction(ref, 1, "+"), Media(ATTACHMENT)):
        before = dump(ana._context.store)
        with pytest.raises(InvalidArgument, match="Framed"):
            ana.encrypt(BUDI, content)
        assert dump(ana._context.store) == before
        framed = Framed(content, b"\x07" * 32, fallback="halo")
        received = budi.decrypt(ana.encrypt(BUDI, framed)).content
        assert isinstance(received, Framed)
        assert received.content == content
        assert received.content_body == framed.content_body
    receipt = Receipt(Receipt.READ, (bytes(16),))
    assert budi.decrypt(ana.encrypt(BUDI, receipt)).content == receipt


def test_an_app_that_this_release_does_not_know_is_carried() -> None:
    carla = Address("threads-2", "carla", 5)
    device, budi = make_device(carla), make_device(BUDI)
    start(device, budi)
    message = budi.decrypt(device.encrypt(BUDI, Text("halo")).encode())
    assert message.sender == carla
    assert type(message.sender.app) is str
    say(budi, device, "back")
    assert budi.safety_number(carla).digits == device.safety_number(BUDI).digits


def test_the_ciphertext_is_exactly_a_signal_message() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    envelope = ana.encrypt(BUDI, Text("halo"))
    assert envelope.kind is MessageKind.PREKEY
    assert envelope.ciphertext[0] == 0x33
    # The raw layer reads the same bytes, and finds the padded payload in them.
    plaintext = budi.decrypt_raw(ANA, envelope.kind, envelope.ciphertext)
    assert b"halo" in plaintext
    assert len(plaintext) % 80 == 79


def test_no_session_says_what_to_do() -> None:
    ana = make_device(ANA)
    for attempt in (
        lambda: ana.encrypt(BUDI, Text("halo")),
        lambda: ana.encrypt_raw(BUDI, b"halo"),
    ):
        with pytest.raises(NoSession, match=r"instagram:budi\.1.*start_session") as caught:
            attempt()
        assert caught.value.code == "no_session"
    with pytest.raises(NoSession, match="start a session"):
        ana.safety_number(BUDI)


def test_a_session_exists_from_the_bundle_or_the_first_message_on() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    assert not ana.has_session(BUDI)
    start(ana, budi)
    assert ana.has_session(BUDI)
    assert not budi.has_session(ANA)
    say(ana, budi, "halo")
    assert budi.has_session(ANA)
    assert not budi.has_session(Address("whatsapp", "ana", 2))


def test_devices_of_one_user_have_sessions_of_their_own() -> None:
    one, two = make_device(BUDI), make_device(Address("instagram", "budi", 2))
    ana = make_device(ANA)
    start(ana, one)
    start(ana, two)
    say(ana, one, "for the first")
    say(ana, two, "for the second")
    say(two, ana, "back")
    with pytest.raises(EnvelopeMismatch):
        two.decrypt(ana.encrypt(one.address, Text("not for the second")))


def test_a_duplicate_is_told_and_changes_nothing(stores: Stores) -> None:
    ana, budi = make_device(ANA), make_device(BUDI, stores.open("budi"))
    start(ana, budi)
    first = ana.encrypt(BUDI, Text("first"))
    budi.decrypt(first)
    before = dump(stores.open("budi"))
    with pytest.raises(DuplicateMessage) as caught:
        budi.decrypt(first)
    assert caught.value.code == "duplicate_message"
    assert dump(stores.open("budi")) == before


def test_messages_out_of_order_are_all_read(stores: Stores) -> None:
    ana, budi = make_device(ANA), make_device(BUDI, stores.open("budi"))
    introduce(ana, budi)
    envelopes = [ana.encrypt(BUDI, Text(str(n))) for n in range(10)]
    order = [7, 0, 9, 3, 8, 1, 2, 6, 5, 4]
    for n in order:
        assert budi.decrypt(envelopes[n]).content == Text(str(n))


def test_a_session_whose_numbers_are_used_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    say(ana, budi, "the only one")
    monkeypatch.setattr("e2ecross.protocol.message_chain.MAX_UINT32", 1)
    before = dump(ana._context.store)
    with pytest.raises(SessionExhausted, match="start a new one"):
        ana.encrypt(BUDI, Text("one too many"))
    assert dump(ana._context.store) == before


@pytest.mark.parametrize("data", garbage())
def test_garbage_is_a_remote_error_and_changes_nothing(data: bytes) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    before = dump(budi._context.store)
    with pytest.raises(RemoteError):
        budi.decrypt(data)
    for kind in (MessageKind.SIGNAL, MessageKind.PREKEY):
        with pytest.raises(RemoteError):
            budi.decrypt_raw(ANA, kind, data)
    assert dump(budi._context.store) == before


def test_a_message_of_a_stranger_needs_to_be_a_first_message() -> None:
    ana, budi, toko = make_device(ANA), make_device(BUDI), make_device(TOKO)
    introduce(ana, budi)
    kind, data = ana.encrypt_raw(BUDI, b"halo")
    assert kind is MessageKind.SIGNAL
    with pytest.raises(UnknownSession) as caught:
        toko.decrypt_raw(ANA, kind, data)
    assert caught.value.code == "unknown_session"


# --- Bundles --------------------------------------------------------------------------------


def test_a_bad_bundle_is_refused_before_anything_is_kept() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    good = new_bundle(budi)
    flipped = bytes((good.signed_prekey_signature[0] ^ 1,)) + good.signed_prekey_signature[1:]
    bad: list[tuple[dict[str, Any], type[RemoteError]]] = [
        ({"identity_key": bytes(33)}, InvalidKey),
        ({"identity_key": b"\x05" + bytes(32)}, InvalidKey),
        ({"identity_key": good.identity_key[1:]}, InvalidKey),
        ({"identity_key": ana.identity_key}, InvalidSignature),
        ({"signed_prekey": b""}, InvalidKey),
        ({"signed_prekey": good.identity_key}, InvalidSignature),
        ({"signed_prekey_signature": flipped}, InvalidSignature),
        ({"signed_prekey_signature": b""}, InvalidSignature),
        ({"one_time_prekey": b"\x05" + b"\xff" * 32}, InvalidKey),
        ({"one_time_prekey_id": 0}, DecodeError),
    ]
    before = dump(ana._context.store)
    for change, error in bad:
        values = {field.name: getattr(good, field.name) for field in fields(good)}
        with pytest.raises(error):
            ana.start_session(PreKeyBundle(**{**values, **change}))
        assert dump(ana._context.store) == before
    ana.start_session(good)


def test_a_first_message_whose_prekeys_are_unknown_is_refused() -> None:
    ana, budi, toko = make_device(ANA), make_device(BUDI), make_device(TOKO)
    start(ana, budi)
    kind, data = ana.encrypt_raw(BUDI, b"halo")
    before = dump(toko._context.store)
    with pytest.raises(UnknownPrekey, match="signed prekey"):
        toko.decrypt_raw(ANA, kind, data)
    assert dump(toko._context.store) == before


# --- The raw layer --------------------------------------------------------------------------


def test_raw_messages_go_both_ways() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    for plaintext in (b"", b"halo", bytes(65_536)):
        kind, data = ana.encrypt_raw(BUDI, plaintext)
        assert kind is MessageKind.PREKEY
        assert budi.decrypt_raw(ANA, kind, data) == plaintext
    kind, data = budi.encrypt_raw(ANA, b"back")
    assert kind is MessageKind.SIGNAL
    assert ana.decrypt_raw(BUDI, kind, data) == b"back"
    assert ana.encrypt_raw(BUDI, b"acknowledged")[0] is MessageKind.SIGNAL


def test_the_kind_of_a_raw_message_may_be_its_number() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    kind, data = ana.encrypt_raw(BUDI, b"halo")
    assert budi.decrypt_raw(ANA, cast("Any", int(kind)), data) == b"halo"


def test_a_message_under_a_sender_key_is_for_another_method() -> None:
    with pytest.raises(InvalidArgument, match="decrypt_group_raw"):
        make_device(BUDI).decrypt_raw(ANA, MessageKind.SENDER_KEY, b"3")


def test_raw_plaintext_has_at_most_98304_bytes() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    kind, data = ana.encrypt_raw(BUDI, bytes(98_304))
    assert budi.decrypt_raw(ANA, kind, data) == bytes(98_304)
    before = dump(ana._context.store)
    with pytest.raises(InvalidArgument, match="plaintext"):
        ana.encrypt_raw(BUDI, bytes(98_305))
    assert dump(ana._context.store) == before


def test_a_raw_message_under_the_wrong_kind_is_refused() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    kind, data = ana.encrypt_raw(BUDI, b"halo")
    with pytest.raises(DecodeError):
        budi.decrypt_raw(ANA, MessageKind.PREKEY, data)
    assert budi.decrypt_raw(ANA, kind, data) == b"halo"


def test_a_raw_message_of_a_peer_does_not_pass_as_an_envelope() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    kind, data = ana.encrypt_raw(BUDI, b"no payload of ours")
    before = dump(budi._context.store)
    with pytest.raises(DecodeError):
        budi.decrypt(Envelope(MESSAGE_ID, ANA, BUDI, kind, data))
    assert dump(budi._context.store) == before
    assert budi.decrypt_raw(ANA, kind, data) == b"no payload of ours"


def test_another_message_version_is_unsupported() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    kind, data = ana.encrypt_raw(BUDI, b"halo")
    with pytest.raises(UnsupportedVersion) as caught:
        budi.decrypt_raw(ANA, kind, b"\x54" + data[1:])
    assert caught.value.code == "unsupported_version"
    with pytest.raises(UnknownSession):
        budi.decrypt_raw(ANA, kind, b"\x44" + data[1:])
    with pytest.raises(AuthenticationFailed):
        budi.decrypt_raw(ANA, kind, b"\x34" + data[1:])


# --- Arguments ------------------------------------------------------------------------------

Attempt = Callable[[Device, Any], object]

_NOT_ADDRESSES = (None, "instagram:budi", UserId("instagram", "budi"), 1)
_NOT_USERS = (None, "budi", "instagram:budi.2", b"instagram:budi", 1)
_NOT_BYTES = (None, "text", 5, bytearray(33), [1])
_NOT_KEYS = (*_NOT_BYTES, b"", bytes(32), bytes(34))

_ARGUMENTS: dict[str, tuple[str, Attempt, tuple[object, ...]]] = {
    "publish": (
        "one_time",
        lambda d, x: d.publish(x),
        (None, -1, 1001, 1.0, "1", True, 2**64),
    ),
    "confirm_published": (
        "published",
        lambda d, x: d.confirm_published(x),
        (None, b"", "published"),
    ),
    "has_session": ("address", lambda d, x: d.has_session(x), _NOT_ADDRESSES),
    "start_session": ("bundle", lambda d, x: d.start_session(x), (None, b"", {}, ANA)),
    "encrypt address": ("address", lambda d, x: d.encrypt(x, Text("")), (*_NOT_ADDRESSES, ANA)),
    "encrypt content": ("content", lambda d, x: d.encrypt(BUDI, x), (None, "halo", b"halo", Text)),
    "encrypt message_id": (
        "message_id",
        lambda d, x: d.encrypt(BUDI, Text(""), message_id=x),
        ("", b"", bytes(15), bytes(17), bytearray(16), 5),
    ),
    "decrypt": ("envelope", lambda d, x: d.decrypt(x), (None, "halo", bytearray(5), 5)),
    "encrypt_raw address": (
        "address",
        lambda d, x: d.encrypt_raw(x, b""),
        (*_NOT_ADDRESSES, ANA),
    ),
    "encrypt_raw plaintext": (
        "plaintext",
        lambda d, x: d.encrypt_raw(BUDI, x),
        (*_NOT_BYTES, bytes(98_305)),
    ),
    "decrypt_raw address": (
        "address",
        lambda d, x: d.decrypt_raw(x, MessageKind.SIGNAL, b""),
        (*_NOT_ADDRESSES, ANA),
    ),
    "decrypt_raw kind": (
        "kind",
        lambda d, x: d.decrypt_raw(BUDI, x, b""),
        (None, 0, 1, 4, "3", b"3", [], {}),
    ),
    "decrypt_raw data": (
        "data",
        lambda d, x: d.decrypt_raw(BUDI, MessageKind.PREKEY, x),
        _NOT_BYTES,
    ),
    "remote_identity": ("address", lambda d, x: d.remote_identity(x), _NOT_USERS),
    "accept_identity address": (
        "address",
        lambda d, x: d.accept_identity(x, d.identity_key),
        _NOT_USERS,
    ),
    "accept_identity identity_key": (
        "identity_key",
        lambda d, x: d.accept_identity(BUDI, x),
        (*_NOT_KEYS, bytes(33), b"\x05" + bytes(32), b"\x05" + b"\xff" * 32),
    ),
    "mark_verified address": (
        "address",
        lambda d, x: d.mark_verified(x, d.identity_key),
        _NOT_USERS,
    ),
    "mark_verified identity_key": (
        "identity_key",
        lambda d, x: d.mark_verified(BUDI, x),
        (*_NOT_KEYS, bytes(33)),
    ),
    "safety_number": ("address", lambda d, x: d.safety_number(x), _NOT_USERS),
}


@pytest.mark.parametrize("case", _ARGUMENTS)
def test_a_wrong_argument_is_named_and_changes_nothing(case: str) -> None:
    name, attempt, values = _ARGUMENTS[case]
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    ana.publish(1)
    before = dump(ana._context.store)
    for value in values:
        with pytest.raises(InvalidArgument, match=rf"\b{name}\b") as caught:
            attempt(ana, value)
        assert caught.value.code == "invalid_argument"
        assert dump(ana._context.store) == before


def test_a_bundle_of_this_device_itself_is_refused() -> None:
    ana = make_device(ANA)
    bundle = new_bundle(ana)
    before = dump(ana._context.store)
    with pytest.raises(InvalidArgument, match="own"):
        ana.start_session(bundle)
    assert dump(ana._context.store) == before


_CREATION: dict[str, tuple[object, ...]] = {
    "address": (None, "whatsapp:ana", UserId("whatsapp", "ana")),
    "store": (None, "ana.db", b"", object()),
    "policy": ({}, "strict", Policy),
    "clock": (None, 5, NOW_MS),
    "entropy": (None, b"", 5, SimpleNamespace(bytes=os.urandom)),
}


@pytest.mark.parametrize("name", _CREATION)
def test_create_and_open_name_a_wrong_argument(name: str) -> None:
    values = [value for value in _CREATION[name] if value is not Policy]
    for value in values:
        store = MemoryStore()
        arguments: dict[str, Any] = {"address": ANA, "store": store, name: value}
        with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
            Device.create(**arguments)
        assert not dump(store)
        if name == "address":
            continue
        make_device(ANA, store)
        del arguments["address"]
        with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
            Device.open(**arguments)


def test_a_client_names_a_wrong_argument() -> None:
    device = make_device(ANA)
    wrong: tuple[object, ...] = (None, device._context, "device", Device)
    for value in wrong:
        with pytest.raises(InvalidArgument, match=r"\bdevice\b"):
            Client(cast("Any", value), BackendSimulator())
    for value in (None, "relay.db", object()):
        with pytest.raises(InvalidArgument, match=r"\bbackend\b"):
            Client(device, cast("Any", value))


def test_a_damaged_record_is_a_store_error() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    envelope = budi.encrypt(ANA, Text("halo"))
    for table in (Table.SESSIONS, Table.SESSION_RECORDS, Table.REMOTE_IDENTITIES):
        ((where, record),) = [(w, r) for w, r in dump(store).items() if w[0] is table]
        for damaged in (b"", b"\0", record[:-1], record + b"\0"):
            with store.transaction() as tx:
                tx.put(*where, damaged)
            with pytest.raises(RecordCorrupted) as caught:
                ana.decrypt(envelope)
            assert caught.value.code == "record_corrupted"
        with store.transaction() as tx:
            tx.put(*where, record)
    assert ana.decrypt(envelope).content == Text("halo")


def test_published_keys_and_bundles_survive_their_encoding() -> None:
    published = make_device(BUDI).publish(3)
    assert PublishedKeys.decode(published.encode()) == published
    bundle = bundle_from(published)
    assert PreKeyBundle.decode(bundle.encode()) == bundle


@pytest.mark.parametrize("now_ms", [0, 2**63 - 1])
def test_a_clock_may_return_what_has_63_bits(now_ms: int) -> None:
    device = Device.create(ANA, MemoryStore(), clock=lambda: now_ms)
    device.confirm_published(device.publish(1))


@pytest.mark.parametrize("now", [-1, 2**63, 1.5, True, None])
def test_a_clock_that_returns_no_milliseconds_is_named(now: Any) -> None:  # noqa: ANN401
    store = MemoryStore()
    with pytest.raises(InvalidArgument, match="clock"):
        Device.create(ANA, store, clock=lambda: now)
    assert dump(store) == {}
    Device.create(ANA, store)
    before = dump(store)
    with pytest.raises(InvalidArgument, match="clock"):
        Device.open(store, clock=lambda: now).publish()
    assert dump(store) == before


# --- How it stands with sessions --------------------------------------------------------------


def test_session_info_follows_a_session_through_its_life() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    assert ana.session_info(BUDI) is None
    start(ana, budi)
    assert ana.session_info(BUDI) == SessionInfo(True, False, False, 0)
    say(ana, budi, "first")
    assert budi.session_info(ANA) == SessionInfo(True, True, False, 0)
    say(budi, ana, "answer")
    assert ana.session_info(BUDI) == SessionInfo(True, True, False, 0)
    start(ana, budi)
    assert ana.session_info(BUDI) == SessionInfo(True, False, False, 1)
    restored = Device.open(ana._context.store, clock=FakeClock(), restored=True)
    assert restored.session_info(BUDI) == SessionInfo(False, False, False, 2)
    with pytest.raises(InvalidArgument, match="address"):
        ana.session_info("instagram:budi")  # type: ignore[arg-type]


def test_a_session_that_began_without_a_one_time_prekey_says_so() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi, one_time=False)
    assert ana.session_info(BUDI) == SessionInfo(True, False, True, 0)
    say(ana, budi, "first")
    assert budi.session_info(ANA) == SessionInfo(True, True, True, 0)
    ana = reopen_device(ana, ana._context.store, "again")
    say(budi, ana, "answer")
    assert ana.session_info(BUDI) == SessionInfo(True, True, True, 0)
    start(ana, budi)
    assert ana.session_info(BUDI) == SessionInfo(True, False, False, 1)
