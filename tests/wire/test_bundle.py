# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from e2ecross.address import Address
from e2ecross.errors import DecodeError, InvalidArgument, InvalidKey, UnsupportedVersion
from e2ecross.wire.bundle import (
    KyberPrekey,
    OneTimePrekey,
    PreKeyBundle,
    PublishedKeys,
    SignedPrekey,
)
from e2ecross.wire.limits import (
    MAX_BUNDLE_BYTES,
    MAX_ONE_TIME_PREKEYS,
    MAX_PUBLISHED_KEYS_BYTES,
)
from tests.support.formats import (
    ADDRESS,
    BUNDLE,
    KEM_KEY,
    KYBER_BUNDLE,
    KYBER_PUBLISHED,
    PUBLISHED,
)
from tests.support.points import BAD_KEYS, GOOD_KEY
from tests.support.protobuf import Field, fields, message

ADDRESS_BYTES = message([(1, b"whatsapp"), (2, b"ana"), (3, 1)])
SIGNATURE = b"\x6b" * 64
BAD_KEM_KEYS = {
    "empty": b"",
    "an X25519 key": GOOD_KEY,
    "a byte too short": KEM_KEY[:-1],
    "a byte too long": KEM_KEY + b"\0",
    "type of Kyber-768": b"\x07" + KEM_KEY[1:],
    "type of ML-KEM-1024": b"\x0a" + KEM_KEY[1:],
    "without type": KEM_KEY[1:],
    "not canonical": b"\x08" + b"\xff" * 1568,
}
bad_keys = pytest.mark.parametrize("bad", [*BAD_KEYS])


def _changed(data: bytes, number: int, value: int | bytes) -> bytes:
    return message([(n, value if n == number else v) for n, v in fields(data)])


def test_bundle_has_the_documented_encoding() -> None:
    items: list[Field] = [
        (1, 1),
        (2, ADDRESS_BYTES),
        (3, 1),
        (4, GOOD_KEY),
        (5, message([(1, 2), (2, GOOD_KEY), (3, b"\x6b" * 64)])),
        (6, message([(1, 3), (2, GOOD_KEY)])),
    ]
    assert BUNDLE.encode() == message(items)
    assert PreKeyBundle.decode(message(items)) == BUNDLE


def test_publication_has_the_documented_encoding() -> None:
    items: list[Field] = [
        (1, 1),
        (2, ADDRESS_BYTES),
        (3, 16380),
        (4, GOOD_KEY),
        (5, message([(1, 2**32 - 1), (2, GOOD_KEY), (3, b"\x6b" * 64)])),
        (6, message([(1, 1), (2, GOOD_KEY)])),
        (6, message([(1, 2**32 - 1), (2, GOOD_KEY)])),
    ]
    assert PUBLISHED.encode() == message(items)
    assert PublishedKeys.decode(message(items)) == PUBLISHED


def test_kyber_keys_have_the_documented_encoding() -> None:
    first, last = (message([(1, n), (2, KEM_KEY), (3, SIGNATURE)]) for n in (2**32 - 1, 4))
    assert KYBER_BUNDLE.encode() == BUNDLE.encode() + message([(7, last)])
    assert KYBER_PUBLISHED.encode() == PUBLISHED.encode() + message([(8, first), (9, last)])
    for value in (KYBER_BUNDLE, KYBER_PUBLISHED):
        assert type(value).decode(value.encode()) == value


def test_with_kyber_keys_a_bundle_is_no_publication_and_the_other_way_round() -> None:
    for bundle in (KYBER_BUNDLE, replace(KYBER_BUNDLE, one_time_prekey_id=1)):
        with pytest.raises(DecodeError, match="one encoding"):
            PublishedKeys.decode(bundle.encode())
    fewest = replace(KYBER_PUBLISHED, one_time_prekeys=(), kyber_prekeys=())
    for published in (
        fewest,
        replace(fewest, one_time_prekeys=PUBLISHED.one_time_prekeys[:1]),
        replace(fewest, kyber_prekeys=KYBER_PUBLISHED.kyber_prekeys),
    ):
        with pytest.raises(DecodeError, match="one encoding"):
            PreKeyBundle.decode(published.encode())


def test_bundle_without_one_time_prekey_survives_its_encoding() -> None:
    bundle = replace(BUNDLE, one_time_prekey_id=None, one_time_prekey=None)
    assert PreKeyBundle.decode(bundle.encode()) == bundle


def test_bundle_carries_what_it_does_not_check() -> None:
    # Keys and signature are checked when a session is started; the id 0 too.
    bundle = replace(
        BUNDLE, identity_key=b"", signed_prekey=b"short", one_time_prekey_id=0, one_time_prekey=b""
    )
    assert PreKeyBundle.decode(bundle.encode()) == bundle
    bundle = replace(bundle, kyber_prekey_id=0, kyber_prekey=GOOD_KEY, kyber_prekey_signature=b"")
    assert PreKeyBundle.decode(bundle.encode()) == bundle


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_other_versions_are_refused_as_such(version: int) -> None:
    for value in (BUNDLE, PUBLISHED, KYBER_BUNDLE, KYBER_PUBLISHED):
        with pytest.raises(UnsupportedVersion, match=str(version)):
            type(value).decode(_changed(value.encode(), 1, version))


def test_bundle_without_signed_prekey_is_refused() -> None:
    data = message([item for item in fields(BUNDLE.encode()) if item[0] != 5])
    with pytest.raises(DecodeError, match="signed prekey"):
        PreKeyBundle.decode(data)


@pytest.mark.parametrize(
    ("identifier", "key"), [(None, GOOD_KEY), (1, None)], ids=["key alone", "id alone"]
)
def test_half_a_one_time_prekey_is_the_callers_mistake(
    identifier: int | None, key: bytes | None
) -> None:
    with pytest.raises(InvalidArgument, match="together"):
        replace(BUNDLE, one_time_prekey_id=identifier, one_time_prekey=key)


@pytest.mark.parametrize("missing", range(1, 7))
def test_part_of_a_kyber_prekey_is_the_callers_mistake(missing: int) -> None:
    names = ("kyber_prekey_id", "kyber_prekey", "kyber_prekey_signature")
    absent = {name: None for n, name in enumerate(names) if missing >> n & 1}
    with pytest.raises(InvalidArgument, match="kyber_prekey_signature come together"):
        replace(KYBER_BUNDLE, **absent)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("address", "whatsapp:ana.1"),
        ("registration_id", -1),
        ("registration_id", 2**32),
        ("registration_id", True),
        ("identity_key", "key"),
        ("signed_prekey_id", None),
        ("signed_prekey", bytearray(33)),
        ("signed_prekey_signature", None),
        ("one_time_prekey_id", 2**32),
        ("one_time_prekey_id", 1.0),
        ("one_time_prekey", "key"),
        ("kyber_prekey_id", -1),
        ("kyber_prekey_id", 2**32),
        ("kyber_prekey_id", "4"),
        ("kyber_prekey", bytearray(1569)),
        ("kyber_prekey_signature", 64),
    ],
)
def test_bundle_field_of_the_wrong_type_is_the_callers_mistake(name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} "):
        replace(KYBER_BUNDLE, **{name: value})  # type: ignore[arg-type]


def test_bundle_has_at_most_4_kib() -> None:
    room = MAX_BUNDLE_BYTES - len(replace(BUNDLE, identity_key=bytes(1000)).encode())
    largest = replace(BUNDLE, identity_key=bytes(1000 + room))
    assert len(largest.encode()) == MAX_BUNDLE_BYTES
    assert PreKeyBundle.decode(largest.encode()) == largest
    with pytest.raises(InvalidArgument, match="4096"):
        replace(BUNDLE, identity_key=bytes(1001 + room)).encode()
    with pytest.raises(DecodeError, match="well-formed"):
        PreKeyBundle.decode(b"\xff" * 4_096)
    with pytest.raises(DecodeError, match="4096"):
        PreKeyBundle.decode(b"\xff" * (MAX_BUNDLE_BYTES + 1))


# --- PublishedKeys --------------------------------------------------------------------------


@bad_keys
def test_bad_key_anywhere_in_a_publication_is_refused(bad: str) -> None:
    key = BAD_KEYS[bad]
    signed = message([(1, 2), (2, key), (3, b"\x6b" * 64)])
    one_time = message([(1, 3), (2, key)])
    items = fields(PUBLISHED.encode())
    for data in (
        _changed(PUBLISHED.encode(), 4, key),
        _changed(PUBLISHED.encode(), 5, signed),
        message([*items, (6, one_time)]),
        message([*items[:-2], (6, one_time), items[-1]]),
    ):
        with pytest.raises((InvalidKey, DecodeError)):
            PublishedKeys.decode(data)
    if key:
        with pytest.raises(InvalidKey):
            PublishedKeys.decode(message([*items, (6, one_time)]))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_signature_of_another_length_is_refused(length: int) -> None:
    items: list[Field] = [(1, 2), (2, GOOD_KEY), (3, bytes(length))]
    signed = message(items if length else items[:-1])
    with pytest.raises(DecodeError, match="signature"):
        PublishedKeys.decode(_changed(PUBLISHED.encode(), 5, signed))


def test_one_time_prekey_id_is_not_0_and_not_repeated() -> None:
    items = fields(PUBLISHED.encode())
    with pytest.raises(DecodeError, match="id"):
        PublishedKeys.decode(message([*items, (6, message([(2, GOOD_KEY)]))]))
    with pytest.raises(DecodeError, match="twice"):
        PublishedKeys.decode(message([*items, items[-1]]))
    with pytest.raises(InvalidArgument, match=r"^one_time_prekeys .* twice"):
        replace(PUBLISHED, one_time_prekeys=(OneTimePrekey(1, GOOD_KEY),) * 2)
    with pytest.raises(InvalidArgument, match=r"^id "):
        OneTimePrekey(0, GOOD_KEY)


@pytest.mark.parametrize("bad", [*BAD_KEM_KEYS])
def test_bad_kem_key_anywhere_in_a_publication_is_refused(bad: str) -> None:
    items: list[Field] = [(1, 5), (2, BAD_KEM_KEYS[bad]), (3, SIGNATURE)]
    prekey = message([item for item in items if item[1]])
    for number in (8, 9):
        with pytest.raises(InvalidKey, match="KEM"):
            PublishedKeys.decode(_changed(KYBER_PUBLISHED.encode(), number, prekey))


@pytest.mark.parametrize("number", [8, 9])
def test_kyber_prekey_has_an_id_and_a_signature(number: int) -> None:
    key: Field = (2, KEM_KEY)
    without: list[list[Field]] = [
        [key, (3, SIGNATURE)],
        [(1, 5), key],
        [(1, 5), key, (3, SIGNATURE[1:])],
        [(1, 5), key, (3, SIGNATURE + b"\0")],
    ]
    for items in without:
        with pytest.raises(DecodeError, match=r"not acceptable: (id|signature) "):
            PublishedKeys.decode(_changed(KYBER_PUBLISHED.encode(), number, message(items)))


def test_no_kyber_prekey_id_is_repeated_but_kinds_count_apart() -> None:
    [first] = KYBER_PUBLISHED.kyber_prekeys
    for twice in ((first, first), (replace(first, id=4),)):
        with pytest.raises(InvalidArgument, match=r"^kyber_prekeys .* twice"):
            replace(KYBER_PUBLISHED, kyber_prekeys=twice)
    items = fields(KYBER_PUBLISHED.encode())
    with pytest.raises(DecodeError, match="twice"):
        PublishedKeys.decode(message([*items[:-1], *items[-2:]]))
    # `first` has the id of a one-time X25519 prekey: those are looked up by another name.
    assert first.id in {prekey.id for prekey in KYBER_PUBLISHED.one_time_prekeys}


def test_one_time_kyber_prekeys_come_with_a_last_resort_one() -> None:
    with pytest.raises(InvalidArgument, match="come with a last_resort_kyber_prekey"):
        replace(KYBER_PUBLISHED, last_resort_kyber_prekey=None)
    with pytest.raises(DecodeError, match="come with a last_resort_kyber_prekey"):
        PublishedKeys.decode(message(fields(KYBER_PUBLISHED.encode())[:-1]))
    alone = replace(KYBER_PUBLISHED, kyber_prekeys=())
    assert PublishedKeys.decode(alone.encode()) == alone


def test_publication_holds_at_most_1000_one_time_prekeys_of_each_kind() -> None:
    def keys(count: int) -> tuple[OneTimePrekey, ...]:
        return tuple(OneTimePrekey(2**32 - 1 - i, GOOD_KEY) for i in range(count))

    def kyber_keys(count: int) -> tuple[KyberPrekey, ...]:
        return tuple(KyberPrekey(2**32 - 1 - i, KEM_KEY, SIGNATURE) for i in range(count))

    largest = replace(
        KYBER_PUBLISHED,
        address=Address("a" * 32, "u" * 64, 127),
        one_time_prekeys=keys(MAX_ONE_TIME_PREKEYS),
        kyber_prekeys=kyber_keys(MAX_ONE_TIME_PREKEYS),
    )
    data = largest.encode()
    assert PublishedKeys.decode(data) == largest
    assert len(data) <= MAX_PUBLISHED_KEYS_BYTES
    with pytest.raises(InvalidArgument, match=r"^one_time_prekeys holds more than 1000"):
        replace(PUBLISHED, one_time_prekeys=keys(MAX_ONE_TIME_PREKEYS + 1))
    with pytest.raises(InvalidArgument, match=r"^kyber_prekeys holds more than 1000"):
        replace(KYBER_PUBLISHED, kyber_prekeys=kyber_keys(MAX_ONE_TIME_PREKEYS + 1))
    items = fields(data)
    for number in (6, 8):
        at = max(i for i, item in enumerate(items) if item[0] == number)
        inner = items[at][1]
        assert isinstance(inner, bytes)
        one_more = (number, _changed(inner, 1, 1))
        with pytest.raises(DecodeError, match="more than 1000"):
            PublishedKeys.decode(message([*items[: at + 1], one_more, *items[at + 1 :]]))


def test_publication_has_at_most_2_mib() -> None:
    with pytest.raises(DecodeError, match="well-formed"):
        PublishedKeys.decode(b"\xff" * 2_097_152)
    with pytest.raises(DecodeError, match="2097152"):
        PublishedKeys.decode(b"\xff" * (MAX_PUBLISHED_KEYS_BYTES + 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("address", None),
        ("registration_id", 2**32),
        ("identity_key", bytes(32)),
        ("identity_key", None),
        ("signed_prekey", None),
        ("one_time_prekeys", [OneTimePrekey(1, GOOD_KEY)]),
        ("one_time_prekeys", (SignedPrekey(1, GOOD_KEY, bytes(64)),)),
        ("kyber_prekeys", [KyberPrekey(1, KEM_KEY, SIGNATURE)]),
        ("kyber_prekeys", (OneTimePrekey(1, GOOD_KEY),)),
        ("last_resort_kyber_prekey", SignedPrekey(1, GOOD_KEY, bytes(64))),
    ],
)
def test_publication_field_of_the_wrong_type_is_the_callers_mistake(
    name: str, value: object
) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} "):
        replace(KYBER_PUBLISHED, **{name: value})  # type: ignore[arg-type]


def test_prekeys_check_their_fields() -> None:
    with pytest.raises(InvalidArgument, match=r"^id "):
        SignedPrekey(-1, GOOD_KEY, bytes(64))
    with pytest.raises(InvalidArgument, match=r"^public_key "):
        SignedPrekey(1, GOOD_KEY[1:], bytes(64))
    with pytest.raises(InvalidArgument, match=r"^signature "):
        SignedPrekey(1, GOOD_KEY, bytes(63))
    with pytest.raises(InvalidArgument, match=r"^public_key "):
        OneTimePrekey(1, GOOD_KEY + b"\0")
    with pytest.raises(InvalidArgument, match=r"^id "):
        KyberPrekey(0, KEM_KEY, SIGNATURE)
    with pytest.raises(InvalidArgument, match=r"^public_key "):
        KyberPrekey(1, KEM_KEY[1:], SIGNATURE)
    with pytest.raises(InvalidArgument, match=r"^signature "):
        KyberPrekey(1, KEM_KEY, SIGNATURE + b"\0")


def test_values_with_the_same_fields_are_equal() -> None:
    assert replace(PUBLISHED) == PUBLISHED
    assert replace(BUNDLE, address=ADDRESS) == BUNDLE
    assert hash(replace(BUNDLE)) == hash(BUNDLE)


def test_a_publication_makes_bundles_as_a_back_end_does() -> None:
    one_time = tuple(OneTimePrekey(n, GOOD_KEY) for n in (5, 6))
    last = KyberPrekey(9, KEM_KEY, bytes(64))
    kyber = KyberPrekey(7, KEM_KEY, bytes([1]) * 64)
    published = replace(
        PUBLISHED, one_time_prekeys=one_time, kyber_prekeys=(kyber,), last_resort_kyber_prekey=last
    )
    plain, first, second = published.bundle(), published.bundle(0), published.bundle(one_time=1)
    assert [(b.one_time_prekey_id, b.kyber_prekey_id) for b in (plain, first, second)] == [
        (None, 9),
        (5, 7),
        (6, 9),
    ]
    assert first.kyber_prekey_signature == kyber.signature
    assert first.one_time_prekey == GOOD_KEY
    for bundle in (plain, first, second):
        assert bundle.address == published.address
        assert bundle.identity_key == published.identity_key
        assert bundle.signed_prekey_signature == published.signed_prekey.signature
        assert PreKeyBundle.decode(bundle.encode()) == bundle
    old = replace(published, kyber_prekeys=(), last_resort_kyber_prekey=None).bundle()
    assert (old.kyber_prekey_id, old.kyber_prekey, old.kyber_prekey_signature) == (None,) * 3
    for bad in (2, -1, True, "0"):
        with pytest.raises(InvalidArgument, match="one_time"):
            published.bundle(bad)  # type: ignore[arg-type]
