# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import UserId
from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import E2ECrossError, EnvelopeMismatch, InvalidSignature
from e2ecross.protocol import device_list as lists
from e2ecross.protocol.device_list import (
    HINT_BYTES,
    Verdict,
    hash_list,
    hint_of,
    is_expired,
    is_listed,
    judge,
    judge_own,
    sign_consent,
    sign_list,
    targets,
    verify_consent,
    verify_list,
)
from e2ecross.wire.device_list import ListedDevice, SignedDeviceList
from tests.support.device_lists import Household, recorded_list, recorded_pair
from tests.support.entropy import ReplayedEntropy
from tests.support.vectors import devices, public_key, unhex

ANA = UserId("whatsapp", "ana")
HOME = Household(ANA)
FIRST = HOME.sign(1)
SECOND = HOME.sign(2, previous=FIRST, devices=(1, 2))
THIRD = HOME.sign(3, previous=SECOND, devices=(1, 2, 3))


def named(section: str) -> pytest.MarkDecorator:
    items = devices(section)["vectors"]
    return pytest.mark.parametrize("item", items, ids=[item["name"] for item in items])


# --- Signing --------------------------------------------------------------------------------


@pytest.mark.parametrize("item", devices("lists"), ids=lambda item: item["name"])
def test_lists_of_the_vectors_are_signed(item: dict[str, Any]) -> None:
    signed = SignedDeviceList.decode(unhex(item["signed"]))
    verify_list(signed)
    assert hash_list(signed).hex() == item["hash"]
    assert hint_of(signed).hex() == item["hint"]
    assert len(hint_of(signed)) == HINT_BYTES
    if item["name"] != "other account key":  # the private half of which is not recorded
        again = sign_list(
            signed.list, recorded_pair("account"), ReplayedEntropy([unhex(item["z"])])
        )
        assert again == signed


@pytest.mark.parametrize(
    "item", devices("device_signatures")["vectors"], ids=lambda item: str(item["device"])
)
def test_consents_of_the_vectors_are_signed(item: dict[str, Any]) -> None:
    account_key = recorded_pair("account").public
    pair = recorded_pair({2: "laptop", 3: "tablet"}[item["device"]])
    entropy = ReplayedEntropy([unhex(item["z"])])
    signature = sign_consent(ANA, item["device"], pair, account_key, entropy)
    assert signature.hex() == item["device_signature"]
    verify_consent(ANA, ListedDevice(item["device"], pair.public, signature), account_key)


def test_a_hash_does_not_depend_on_the_signature() -> None:
    again = HOME.sign_anew(SECOND)
    assert again.signature != SECOND.signature
    assert hash_list(again) == hash_list(SECOND)
    assert hash_list(SECOND) != hash_list(THIRD)


# --- Verifying ------------------------------------------------------------------------------


def test_a_consent_is_to_one_account_one_number_and_one_account_key() -> None:
    entry, key = HOME.entry(2), HOME.pair(1).public
    verify_consent(ANA, entry, key)
    for user, listed, account_key in (
        (UserId("whatsapp", "budi"), entry, key),
        (UserId("instagram", "ana"), entry, key),
        (ANA, replace(entry, device=3), key),
        (ANA, replace(entry, identity_key=HOME.pair(3).public), key),
        (ANA, entry, HOME.pair(3).public),
        (ANA, replace(entry, device_signature=b""), key),
    ):
        with pytest.raises(InvalidSignature):
            verify_consent(user, listed, account_key)


def damaged(signature: bytes) -> bytes:
    return bytes((signature[0] ^ 1,)) + signature[1:]


def test_a_list_with_any_wrong_signature_is_refused() -> None:
    verify_list(THIRD)
    entries = THIRD.list.devices
    bad = replace(entries[2], device_signature=damaged(entries[2].device_signature))
    for signed in (
        replace(THIRD, signature=damaged(THIRD.signature)),
        HOME.sign_anew(THIRD, devices=(*entries[:2], bad)),
        sign_list(THIRD.list, HOME.pair(2), HOME.entropy),
    ):
        for known in (None, FIRST, SECOND):
            with pytest.raises(InvalidSignature):
                verify_list(signed, known)


def test_what_was_verified_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[PublicKey] = []

    def note(key: PublicKey, *_: object) -> None:
        checked.append(key)

    monkeypatch.setattr(lists, "verify_signature", note)
    keys = [each.identity_key for each in THIRD.list.devices]
    for known, expected in (
        (None, keys),
        (FIRST, keys),
        (SECOND, [keys[0], keys[2]]),
        (replace(THIRD, signature=b"another"), []),
        (HOME.sign_anew(THIRD, seq=4), keys[:1]),
    ):
        checked.clear()
        verify_list(THIRD, known)
        assert checked == expected


@pytest.mark.parametrize("change", ["device", "identity_key", "device_signature"])
def test_another_entry_is_not_one_that_was_verified(change: str) -> None:
    """Known is number, key and signature together; one of them alone is nothing."""
    entry = SECOND.list.devices[1]
    other = {
        "device": 3,
        "identity_key": HOME.pair(3).public,
        "device_signature": damaged(entry.device_signature),
    }[change]
    forged = HOME.sign_anew(
        SECOND,
        seq=3,
        devices=(SECOND.list.devices[0], replace(entry, **{change: other})),  # type: ignore[arg-type]
    )
    with pytest.raises(InvalidSignature):
        verify_list(forged, SECOND)


@pytest.mark.parametrize("other", [Household(ANA, "second life"), Household(UserId("x", "ana"))])
def test_what_another_account_has_verified_counts_for_nothing(other: Household) -> None:
    """Neither another account nor the same one under another key lends its entries."""
    entry = SECOND.list.devices[1]
    primary = other.entry(1)
    forged = other.sign_anew(other.sign(3), devices=(primary, entry))
    verify_list(SECOND)
    with pytest.raises(InvalidSignature):
        verify_list(forged, SECOND)


# --- Judging --------------------------------------------------------------------------------


class Reader(NamedTuple):
    """What a reader holds of an account."""

    pinned: PublicKey | None = None
    held: SignedDeviceList | None = None
    rival: SignedDeviceList | None = None

    def take(self, signed: SignedDeviceList, user: UserId) -> tuple["Reader", Verdict]:
        """Verify and judge a list, and keep what is to be kept."""
        verify_list(signed, self.held)
        verdict = judge(signed, user, self.pinned, self.held, self.rival)
        if verdict in (Verdict.NEWER, Verdict.RESET):
            return Reader(signed.list.account_key, signed), verdict
        if verdict is Verdict.FORK:
            return self._replace(rival=self.rival or signed), verdict
        return self, verdict


def knowing(names: list[str]) -> Reader:
    reader = Reader()
    for name in names:
        reader, _ = reader.take(recorded_list(name), ANA)
    return reader


REFUSED = (Verdict.BROKEN_CHAIN, Verdict.HOSTING_LOWERED)


def outcome(reader: Reader, data: bytes, user: UserId) -> tuple[Reader, str]:
    try:
        after, verdict = reader.take(SignedDeviceList.decode(data), user)
    except E2ECrossError as error:
        return reader, error.code
    return after, "invalid_device_list" if verdict in REFUSED else verdict.value


@named("judgements")
def test_judgements_of_the_vectors(item: dict[str, Any]) -> None:
    before = knowing(item["known"])
    app, user = item["account_asked"].split(":")
    after, came = outcome(before, unhex(item["signed"]), UserId(app, user))
    assert came == item["expect"]
    if came in ("newer", "reset"):
        assert after.held is not None
        assert after.held.encode().hex() == item["signed"]
    elif came != "fork":
        assert after == before
    if "targets" in item:
        assert after.held is not None
        found = targets(after.held, after.rival)
        assert [each.device for each in found] == item["targets"]


@named("listed")
def test_who_is_listed_in_the_vectors(item: dict[str, Any]) -> None:
    held = knowing(item["known"]).held
    key = public_key(item["identity_key"])
    listed = held is None or is_listed(held.list, item["device"], key)
    assert listed is (item["expect"] == "ok")


@named("carried")
def test_lists_that_messages_bring_in_the_vectors(item: dict[str, Any]) -> None:
    """The arithmetic of it; what a message changes is tested where it is read."""
    before = knowing(item["known"])
    after, came, key = before, "none", public_key(item["identity_key"])
    asked = before.held
    if item["carried"] is not None:
        signed = recorded_list(item["carried"])
        after, came = outcome(before, signed.encode(), ANA)
        asked = signed if came == Verdict.OTHER_KEY.value else after.held
    if came == "invalid_device_list":
        came = "ignored"
    primary = item["device"] == 1 and came != Verdict.OTHER_KEY.value
    if not primary and asked is not None and not is_listed(asked.list, item["device"], key):
        came, after = "unlisted_device", before
    assert came == item["expect"]
    if item["seq_after"] is not None:
        assert after.held is not None
        assert after.held.list.seq == item["seq_after"]


@named("own_list_at_the_primary")
def test_own_lists_of_the_vectors_from_outside(item: dict[str, Any]) -> None:
    held, arrived = recorded_list(item["held"]), recorded_list(item["arrives"])
    verdict = judge_own(arrived, ANA, held.list.account_key, held)
    expected = Verdict.OTHER_KEY.value if item["expect"] == "refused" else item["expect"]
    assert verdict.value == expected


@named("expiry")
def test_expiry_of_the_vectors(item: dict[str, Any]) -> None:
    signed = recorded_list(item["list"])
    expired = is_expired(signed, item["accepted_at_ms"], item["now_ms"], item["max_age_ms"])
    assert expired is item["expired"]
    assert [each.device for each in targets(signed, expired=expired)] == item["targets"]


def test_a_list_of_another_account_is_refused_whatever_it_says() -> None:
    key = HOME.pair(1).public
    for user in (UserId("whatsapp", "budi"), UserId("instagram", "ana")):
        with pytest.raises(EnvelopeMismatch, match=f"{user}"):
            judge(THIRD, user, key, SECOND)
        with pytest.raises(EnvelopeMismatch, match=f"{user}"):
            judge_own(THIRD, user, key, SECOND)


def test_the_first_list_must_be_under_the_key_that_is_known() -> None:
    assert judge(THIRD, ANA, None, None) is Verdict.NEWER
    assert judge(THIRD, ANA, HOME.pair(1).public, None) is Verdict.NEWER
    assert judge(THIRD, ANA, HOME.pair(2).public, None) is Verdict.OTHER_KEY
    assert judge(HOME.sign(7), ANA, None, None) is Verdict.NEWER


def test_a_chain_goes_on_from_the_list_held_or_from_its_rival() -> None:
    rival = HOME.sign(2, previous=FIRST, devices=(1, 3))
    key = HOME.pair(1).public
    after_rival = HOME.sign(3, previous=rival)
    assert judge(rival, ANA, key, SECOND) is Verdict.FORK
    assert judge(after_rival, ANA, key, SECOND) is Verdict.BROKEN_CHAIN
    assert judge(after_rival, ANA, key, SECOND, rival) is Verdict.NEWER
    assert judge(THIRD, ANA, key, SECOND, rival) is Verdict.NEWER
    assert judge(HOME.sign(3), ANA, key, SECOND, rival) is Verdict.BROKEN_CHAIN


def test_hosting_never_falls() -> None:
    key = HOME.pair(1).public
    for before, after in ((1, 0), (2, 0), (2, 1), (0, 1), (1, 2), (1, 1)):
        held = HOME.sign(1, hosting=before, vendor="v" * (before == 1))
        for seq, previous in ((2, held), (9, FIRST), (9, b"")):
            new = HOME.sign(seq, previous=previous, hosting=after, vendor="v" * (after == 1))
            verdict = judge(new, ANA, key, held)
            if after < before:
                assert verdict is Verdict.HOSTING_LOWERED
            else:
                assert verdict is (Verdict.NEWER if previous else Verdict.RESET)


def test_at_the_primary_nothing_from_outside_is_taken() -> None:
    key = HOME.pair(1).public
    assert judge_own(THIRD, ANA, key, None) is Verdict.CONFLICT
    assert judge_own(HOME.sign_anew(SECOND), ANA, key, SECOND) is Verdict.SAME
    assert judge_own(HOME.sign_anew(SECOND, signed_at_ms=1), ANA, key, SECOND) is Verdict.CONFLICT
    assert judge_own(FIRST, ANA, key, SECOND) is Verdict.OLDER
    for foreign in (HOME.sign(1, hosting=2), HOME.sign(1, devices=(1, 3))):
        assert judge_own(foreign, ANA, key, SECOND) is Verdict.CONFLICT  # never its own
    assert judge_own(FIRST, ANA, key, HOME.sign(2)) is Verdict.CONFLICT  # nothing is before a reset
    assert judge_own(FIRST, ANA, key, THIRD) is Verdict.OLDER
    assert judge_own(HOME.sign(1), ANA, HOME.pair(2).public, SECOND) is Verdict.OTHER_KEY


# --- Who is sent to -------------------------------------------------------------------------


def test_in_a_fork_only_what_both_say_is_sent_to() -> None:
    moved = Household(ANA, primary=HOME.pair(1))
    moved.move_in(3, HOME.pair(3))
    rival = moved.sign(3, devices=(1, 2, 3, 4))
    assert [each.device for each in targets(THIRD, rival)] == [1, 3]
    assert targets(THIRD) == THIRD.list.devices
    assert targets(THIRD, rival, expired=True) == THIRD.list.devices[:1]


@given(st.data())
def test_readers_who_get_the_same_lists_end_with_the_same_one(data: st.DataObject) -> None:
    """Whatever is lost, repeated and reordered, if the newest arrives and all are of one chain."""
    chain = (FIRST, SECOND, THIRD)
    readers = []
    for _ in range(2):
        seen = data.draw(st.lists(st.sampled_from(chain), max_size=6))
        reader = Reader()
        for signed in (*seen, THIRD):
            before = reader.held
            reader, _ = reader.take(signed, ANA)
            assert reader.held is not None
            assert before is None or before.list.seq <= reader.held.list.seq
        readers.append(reader)
    assert readers[0] == readers[1] == Reader(HOME.pair(1).public, THIRD)


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(0, 2**62), st.integers(1, 2**40))
def test_the_younger_of_two_clocks_makes_no_list_younger(
    signed_at: int, accepted_at: int, now: int, max_age: int
) -> None:
    signed = SignedDeviceList(b"", b"", replace(FIRST.list, signed_at_ms=signed_at))
    oldest = max(now - signed_at, now - accepted_at)
    assert is_expired(signed, accepted_at, now, max_age) is (oldest > max_age)
