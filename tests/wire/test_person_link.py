# SPDX-License-Identifier: Apache-2.0
import pytest

from e2ecross.address import UserId
from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import DecodeError, UnsupportedVersion
from e2ecross.wire.person_link import LinkedAccount, PersonLink, SignedPersonLink
from tests.support.points import BAD_KEYS, GOOD_KEY
from tests.support.protobuf import Field, message
from tests.support.vectors import devices, unhex

VECTOR = devices("person_link")
KEY = PublicKey(GOOD_KEY)
SIGNATURE = b"\x6b" * 64


def account(app: str, user: str, key: bytes = GOOD_KEY) -> bytes:
    return message([(1, app.encode()), (2, user.encode()), (3, key)])


FIRST, SECOND = account("instagram", "ana"), account("whatsapp", "ana")
GOOD: list[Field] = [(1, 1), (2, FIRST), (3, SECOND), (4, 7)]


def test_the_vector_of_a_person_link() -> None:
    signed = SignedPersonLink.decode(unhex(VECTOR["signed"]))
    assert signed.encode() == unhex(VECTOR["signed"])
    assert signed.data == signed.link.encode() == unhex(VECTOR["link"])
    assert signed.link.first.user == UserId("instagram", "ana")
    assert signed.link.second.user == UserId("whatsapp", "ana")
    assert signed.link.second.account_key == unhex(devices("keys")["account"]["public"])


def test_it_has_the_documented_encoding() -> None:
    link = PersonLink(
        LinkedAccount(UserId("instagram", "ana"), KEY),
        LinkedAccount(UserId("whatsapp", "ana"), KEY),
        7,
    )
    assert link.encode() == message(GOOD)
    assert PersonLink.decode(link.encode()) == link
    signed = SignedPersonLink(link.encode(), SIGNATURE, SIGNATURE[::-1], link)
    items: list[Field] = [(1, link.encode()), (2, SIGNATURE), (3, SIGNATURE[::-1])]
    assert signed.encode() == message(items)
    assert SignedPersonLink.decode(signed.encode()) == signed


def test_the_largest_link_is_read() -> None:
    accounts = [LinkedAccount(UserId(app * 32, "u" * 64), KEY) for app in "ab"]
    link = PersonLink(accounts[0], accounts[1], 2**64 - 1)
    signed = SignedPersonLink(link.encode(), SIGNATURE, SIGNATURE, link)
    assert SignedPersonLink.decode(signed.encode()) == signed


@pytest.mark.parametrize(
    "fields",
    [
        [(2, FIRST), (3, SECOND), (4, 7)],
        [(1, 1), (3, SECOND), (4, 7)],
        [(1, 1), (2, FIRST), (4, 7)],
        [(1, 1), (2, SECOND), (3, FIRST), (4, 7)],
        [(1, 1), (2, FIRST), (3, FIRST), (4, 7)],
        [(1, 1), (2, account("whatsapp", "ana")), (3, account("whatsapp", "budi")), (4, 7)],
        [(1, 1), (2, account("Instagram", "ana")), (3, SECOND), (4, 7)],
        [(1, 1), (2, FIRST), (3, SECOND), (4, 7), (5, 1)],
        [(1, 1), (3, SECOND), (2, FIRST), (4, 7)],
        [(1, 1), (2, FIRST), (3, SECOND), (4, 7), (6, bytes(512))],
    ],
)
def test_a_malformed_link_is_refused(fields: list[Field]) -> None:
    with pytest.raises(DecodeError, match=r"a person link|a user"):
        PersonLink.decode(message(fields))
    signed = message([(1, message(fields)), (2, SIGNATURE), (3, SIGNATURE)])
    with pytest.raises(DecodeError):
        SignedPersonLink.decode(signed)


def test_the_order_is_that_of_the_text_of_both_accounts() -> None:
    """`-` is less than `:`, so the app `a-` comes before the app `a`."""
    for first, second, is_in_order in (("a-", "a", True), ("a", "a-", False), ("a", "b", True)):
        data = message([(1, 1), (2, account(first, "z")), (3, account(second, "a")), (4, 7)])
        if is_in_order:
            PersonLink.decode(data)
        else:
            with pytest.raises(DecodeError, match="order"):
                PersonLink.decode(data)


@pytest.mark.parametrize("key", [key for key in BAD_KEYS.values() if key])
def test_a_key_that_nobody_has_is_a_decode_error(key: bytes) -> None:
    with pytest.raises(DecodeError, match="key"):
        PersonLink.decode(
            message([(1, 1), (2, account("instagram", "ana", key)), (3, SECOND), (4, 7)])
        )


def test_a_later_version_is_told_as_such() -> None:
    with pytest.raises(UnsupportedVersion, match="version 2"):
        PersonLink.decode(message([(1, 2), (9, b"new")]))


@pytest.mark.parametrize(
    "fields",
    [
        [(1, message(GOOD)), (2, SIGNATURE)],
        [(1, message(GOOD)), (2, SIGNATURE[1:]), (3, SIGNATURE)],
        [(1, message(GOOD)), (2, SIGNATURE), (3, SIGNATURE + b"\0")],
        [(1, message(GOOD)), (2, SIGNATURE), (3, SIGNATURE), (4, 1)],
        [(1, message(GOOD)), (2, SIGNATURE), (3, SIGNATURE), (4, bytes(1000))],
    ],
)
def test_what_is_not_signed_twice_is_refused(fields: list[Field]) -> None:
    with pytest.raises(DecodeError, match=r"^a signed person link "):
        SignedPersonLink.decode(message(fields))
