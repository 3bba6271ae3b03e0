# SPDX-License-Identifier: Apache-2.0
"""Both ends of linking, against the recorded attempt; and everything that ends one."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from e2ecross.address import Address, UserId
from e2ecross.crypto.keys import KeyPair, key_pair_from_private
from e2ecross.crypto.secret import Secret
from e2ecross.errors import (
    DecodeError,
    E2ECrossError,
    InvalidArgument,
    InvalidSignature,
    LinkFailed,
    RemoteError,
    UnsupportedVersion,
)
from e2ecross.protocol.device_list import (
    hash_list,
    sign_consent,
    sign_list,
    verify_consent,
    verify_list,
)
from e2ecross.protocol.linking import (
    LINK_LIFETIME_MS,
    RESULT_WAIT_MS,
    CompanionAnswered,
    CompanionStart,
    LinkedDevice,
    PrimaryAnswered,
    PrimaryOffered,
    begin_companion,
    begin_primary,
)
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from e2ecross.wire.linking import LinkAnswer, LinkCode, LinkMessage, LinkOffer, LinkResult
from tests.support.entropy import NO_ENTROPY, ReplayedEntropy, SeededEntropy
from tests.support.vectors import devices, unhex

LINKING = devices("linking")
NAME = LINKING["name"]
TOKEN = unhex(LINKING["token"])
FIRST = SignedDeviceList.decode(unhex(devices("lists")[0]["signed"]))
ACCOUNT = key_pair_from_private(unhex(devices("keys")["account"]["private"]))
ANA = UserId("whatsapp", "ana")
NOW_MS = 1_767_312_000_000


def replayed(end: str) -> ReplayedEntropy:
    return ReplayedEntropy(unhex(draw) for draw in LINKING[f"{end}_draws"])


def companion(entropy: ReplayedEntropy | None = None, app: str = "whatsapp") -> CompanionStart:
    return begin_companion(app, entropy or replayed("companion"), NOW_MS)


def answered(
    offer: bytes | None = None, start: CompanionStart | None = None, at_ms: int = NOW_MS
) -> CompanionAnswered:
    """The companion of the vectors, or another one, after an offer: that of the vectors."""
    entropy = replayed("companion")
    start = start or begin_companion("whatsapp", entropy, NOW_MS)
    return start.take_offer(
        offer or unhex(LINKING["offer"]),
        name=NAME,
        token=TOKEN,
        entropy=entropy if entropy.left == 2 else SeededEntropy("answer"),
        now_ms=at_ms,
    )


def offered(number: int = 2, own: DeviceList = FIRST.list) -> PrimaryOffered:
    return begin_primary(LINKING["text"], own, number, replayed("primary"), NOW_MS)


def taken() -> PrimaryAnswered:
    return offered().take_answer(unhex(LINKING["answer"]), NOW_MS)


def next_list(devices_: tuple[ListedDevice, ...], before: SignedDeviceList = FIRST) -> DeviceList:
    return DeviceList(
        ANA, before.list.seq + 1, hash_list(before), LINKING["confirmed_at_ms"], devices_
    )


# --- The recorded attempt -------------------------------------------------------------------


def test_one_whole_attempt_byte_for_byte() -> None:
    companions, primarys = replayed("companion"), replayed("primary")
    start = begin_companion("whatsapp", companions, NOW_MS)
    assert start.code == LINKING["text"]
    assert start.link_id == unhex(LINKING["link_id"])
    offered_ = begin_primary(start.code, FIRST.list, LINKING["device"], primarys, NOW_MS)
    assert offered_.offer == unhex(LINKING["offer"])
    assert offered_.link_id == start.link_id
    assert offered_.address == Address("whatsapp", "ana", 2)
    waiting = start.take_offer(
        offered_.offer, name=NAME, token=TOKEN, entropy=companions, now_ms=NOW_MS
    )
    assert companions.left == 0
    assert waiting.answer == unhex(LINKING["answer"])
    assert waiting.link_id == start.link_id
    assert waiting.user == ANA
    asking = offered_.take_answer(waiting.answer, NOW_MS)
    assert asking.digits == LINKING["digits"]
    assert asking.name == NAME
    assert asking.token_hash == unhex(LINKING["token_hash"])
    assert asking.link_id == start.link_id
    confirmed = waiting.enter_digits(asking.digits, NOW_MS)
    assert confirmed.link_id == start.link_id
    signed = sign_list(next_list((*FIRST.list.devices, asking.listed)), ACCOUNT, primarys)
    assert primarys.left == 0
    assert signed.encode() == unhex(LINKING["signed_list"])
    assert hash_list(signed) == unhex(LINKING["list_hash"])
    result = asking.result(signed)
    assert result == unhex(LINKING["result"])
    linked = confirmed.take_result(result, NOW_MS)
    assert linked.address == Address("whatsapp", "ana", 2)
    assert linked.token == TOKEN
    assert linked.signed_list == signed
    listed = signed.list.find(2)
    assert listed == asking.listed
    assert listed is not None
    assert listed.identity_key == linked.key_pair.public


def test_what_a_cancelled_attempt_leaves_signs_nothing() -> None:
    """The user cancels at the digits: all that the companion holds makes no list that verifies."""
    signed = SignedDeviceList.decode(unhex(devices("half_finished_linking")["signed"]))
    with pytest.raises(InvalidSignature):
        verify_list(signed)
    held = answered().device.key_pair
    entry = signed.list.find(2)
    assert entry is not None
    assert entry.identity_key == held.public
    verify_consent(ANA, entry, ACCOUNT.public)
    made = sign_list(signed.list, held, SeededEntropy("list"))
    assert made.data == signed.data
    with pytest.raises(InvalidSignature):
        verify_list(made)


# --- What ends an attempt at the new device -------------------------------------------------


@pytest.mark.parametrize(
    "vector", devices("linking_refusals")["vectors"], ids=lambda one: one["name"]
)
def test_the_vectors_of_what_ends_an_attempt_at_the_new_device(vector: dict[str, Any]) -> None:
    entropy, now_ms = replayed("companion"), NOW_MS
    state: Any = begin_companion(vector["app"], entropy, now_ms)
    *steps, last = [next(iter(step.items())) for step in vector["steps"]]

    def take(name: str, value: Any) -> Any:  # noqa: ANN401
        if name == "offer":
            return state.take_offer(
                unhex(value), name=NAME, token=TOKEN, entropy=entropy, now_ms=now_ms
            )
        if name == "digits":
            return state.enter_digits(value, now_ms)
        return state.take_result(unhex(value), now_ms)

    for name, value in steps:
        if name == "wait_ms":
            now_ms += value
        else:
            state = take(name, value)
    with pytest.raises(LinkFailed) as caught:
        take(*last)
    assert caught.value.code == vector["expect"]


def opened(data: bytes, key: str) -> bytes:
    """What is in a message of the recorded attempt."""
    sealing = answered().sealing
    return sealing.open(getattr(sealing.keys, key), LinkMessage.decode(data))


def sealed_offer(change: Callable[[LinkOffer], LinkOffer] = lambda offer: offer) -> bytes:
    """The offer of the vectors, changed by somebody who knows the code."""
    offer = LinkOffer.decode(opened(unhex(LINKING["offer"]), "offer"))
    sealing, key = answered().sealing, LinkMessage.decode(unhex(LINKING["offer"])).ephemeral_key
    return sealing.seal(sealing.keys.offer, change(offer).encode(), key)


def test_an_offer_that_is_sealed_again_is_the_same() -> None:
    """So that what the next tests change is all that they change."""
    assert sealed_offer() == unhex(LINKING["offer"])


@pytest.mark.parametrize("length", [0, 1, 40, 108])
def test_an_offer_that_is_cut_off_ends_the_attempt(length: int) -> None:
    with pytest.raises(LinkFailed):
        companion().take_offer(
            unhex(LINKING["offer"])[:length],
            name=NAME,
            token=TOKEN,
            entropy=NO_ENTROPY,
            now_ms=NOW_MS,
        )


def test_every_changed_byte_of_an_offer_ends_the_attempt() -> None:
    offer = unhex(LINKING["offer"])
    start = companion()
    for place in range(len(offer)):
        changed = offer[:place] + bytes((offer[place] ^ 1,)) + offer[place + 1 :]
        with pytest.raises(LinkFailed):
            start.take_offer(changed, name=NAME, token=TOKEN, entropy=NO_ENTROPY, now_ms=NOW_MS)


def test_every_changed_byte_of_a_result_ends_the_attempt() -> None:
    result = unhex(LINKING["result"])
    confirmed = answered().enter_digits(LINKING["digits"], NOW_MS)
    for place in range(len(result)):
        changed = result[:place] + bytes((result[place] ^ 1,)) + result[place + 1 :]
        with pytest.raises(LinkFailed):
            confirmed.take_result(changed, NOW_MS)
    assert confirmed.take_result(result, NOW_MS).signed_list.list.seq == 2


@pytest.mark.parametrize("place", ["offer", "answer", "result"])
@pytest.mark.parametrize("name", ["offer", "answer", "result"])
def test_each_message_opens_in_its_own_place_alone(name: str, place: str) -> None:
    data = unhex(LINKING[name])
    steps: dict[str, Callable[[], object]] = {
        "offer": lambda: answered(data),
        "answer": lambda: offered().take_answer(data, NOW_MS),
        "result": lambda: (
            answered().enter_digits(LINKING["digits"], NOW_MS).take_result(data, NOW_MS)
        ),
    }
    if name == place:
        steps[place]()
    else:
        with pytest.raises(LinkFailed):
            steps[place]()


@pytest.mark.parametrize("name", ["offer", "answer", "result"])
def test_no_message_of_one_attempt_opens_in_another(name: str) -> None:
    """With the same code, too: another phone has another ephemeral key."""
    data = unhex(LINKING[name])
    other = begin_companion("whatsapp", SeededEntropy("other"), NOW_MS)
    entropy = SeededEntropy("other phone")
    phone = begin_primary(LINKING["text"], FIRST.list, 2, entropy, NOW_MS)
    if name == "offer":
        with pytest.raises(LinkFailed):
            answered(data, other)
    elif name == "answer":
        with pytest.raises(LinkFailed):
            phone.take_answer(data, NOW_MS)
    else:
        start = begin_companion("whatsapp", replayed("companion"), NOW_MS)
        waiting = answered(phone.offer, start)
        confirmed = waiting.enter_digits(phone.take_answer(waiting.answer, NOW_MS).digits, NOW_MS)
        with pytest.raises(LinkFailed):
            confirmed.take_result(data, NOW_MS)


@pytest.mark.parametrize(
    "text",
    ["", " 951491", "951491 ", "951 491", "95149", "9514911", "\uff1951491", "\ud800", "951490"],
)
def test_digits_that_are_not_exactly_those_end_the_attempt(text: str) -> None:
    with pytest.raises(LinkFailed, match="digits"):
        answered().enter_digits(text, NOW_MS)


@pytest.mark.parametrize("text", [None, 951491, b"951491"])
def test_digits_are_text(text: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^digits must be str"):
        answered().enter_digits(text, NOW_MS)  # type: ignore[arg-type]


def test_a_list_that_was_signed_by_nobody_ends_the_attempt() -> None:
    asking, confirmed = taken(), answered().enter_digits(LINKING["digits"], NOW_MS)
    signed = SignedDeviceList.decode(unhex(LINKING["signed_list"]))
    for bad in (
        replace(signed, signature=bytes(64)),
        replace(signed, signature=FIRST.signature),
    ):
        with pytest.raises(LinkFailed):
            confirmed.take_result(asking.result(bad), NOW_MS)
    nothing = asking.sealing.seal(asking.sealing.keys.result, b"")
    with pytest.raises(LinkFailed):
        confirmed.take_result(nothing, NOW_MS)


def test_a_genuine_list_of_another_account_of_the_same_key_ends_the_attempt() -> None:
    """Same account key, another user: the offer has named the account."""
    confirmed = answered().enter_digits(LINKING["digits"], NOW_MS)
    toko, device = UserId("whatsapp", "toko"), confirmed.device
    consent = sign_consent(toko, 2, device.key_pair, ACCOUNT.public, SeededEntropy("consent"))
    listed = ListedDevice(2, device.key_pair.public, consent)
    theirs = replace(next_list((*FIRST.list.devices, listed)), user=toko)
    signed = sign_list(theirs, ACCOUNT, SeededEntropy("list"))
    verify_list(signed)
    with pytest.raises(LinkFailed, match="another account"):
        confirmed.take_result(taken().result(signed), NOW_MS)


def test_a_list_of_the_same_account_under_another_key_ends_the_attempt() -> None:
    """With this device in it, which has never consented to that; nor would it help if it had."""
    confirmed = answered().enter_digits(LINKING["digits"], NOW_MS)
    thief, device = (
        key_pair_from_private(unhex(devices("keys")["thief"]["private"])),
        confirmed.device,
    )
    consent = sign_consent(ANA, 2, device.key_pair, thief.public, SeededEntropy("consent"))
    first, listed = (
        ListedDevice(1, thief.public, b""),
        ListedDevice(2, device.key_pair.public, consent),
    )
    signed = sign_list(next_list((first, listed)), thief, SeededEntropy("list"))
    verify_list(signed)
    with pytest.raises(LinkFailed, match="another account"):
        confirmed.take_result(taken().result(signed), NOW_MS)


def test_only_an_offer_has_an_ephemeral_key() -> None:
    """Whoever knows the keys could put one into the other messages, where nothing reads it."""
    key = LinkMessage.decode(unhex(LINKING["offer"])).ephemeral_key
    answer, result = (
        replace(LinkMessage.decode(unhex(LINKING[name])), ephemeral_key=key).encode()
        for name in ("answer", "result")
    )
    with pytest.raises(LinkFailed, match="only an offer"):
        offered().take_answer(answer, NOW_MS)
    with pytest.raises(LinkFailed, match="only an offer"):
        answered().enter_digits(LINKING["digits"], NOW_MS).take_result(result, NOW_MS)
    without = replace(LinkMessage.decode(unhex(LINKING["offer"])), ephemeral_key=None).encode()
    with pytest.raises(LinkFailed, match="lacks its ephemeral key"):
        answered(without)


def test_a_companion_is_asked_what_it_may_be_called_before_anything_is_drawn() -> None:
    start, offer = companion(), unhex(LINKING["offer"])
    for name, changed in (
        ("name", {"name": "a" * 65}),
        ("token", {"token": TOKEN[1:]}),
        ("capabilities", {"capabilities": bytes(257)}),
        ("capabilities", {"capabilities": "text"}),
    ):
        arguments: dict[str, Any] = {"name": NAME, "token": TOKEN} | changed
        with pytest.raises(InvalidArgument, match=f"^{name} "):
            start.take_offer(offer, entropy=NO_ENTROPY, now_ms=NOW_MS, **arguments)


def test_what_the_companion_says_of_itself_comes_to_the_phone() -> None:
    entropy = replayed("companion")
    waiting = begin_companion("whatsapp", entropy, NOW_MS).take_offer(
        unhex(LINKING["offer"]),
        name="é" * 32,
        token=TOKEN,
        entropy=entropy,
        now_ms=NOW_MS,
        capabilities=bytes(256),
    )
    asking = offered().take_answer(waiting.answer, NOW_MS)
    assert asking.name == "é" * 32
    assert asking.listed.capabilities == bytes(256)
    assert asking.digits == waiting.digits.decode()


@pytest.mark.parametrize("app", ["WhatsApp", "", "a" * 33, None, 7])
def test_there_has_to_be_an_app(app: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=r"^app "):
        begin_companion(app, NO_ENTROPY, NOW_MS)


# --- Device 1 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "vector", devices("link_answer_refusals")["vectors"], ids=lambda one: one["name"]
)
def test_the_vectors_of_what_ends_an_attempt_at_device_1(vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteError) as caught:
        offered().take_answer(unhex(vector["answer"]), NOW_MS)
    assert caught.value.code == vector["expect"]


@pytest.mark.parametrize(
    "vector", devices("link_code_refusals")["vectors"], ids=lambda one: one["name"]
)
def test_the_vectors_of_what_is_no_code(vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteError) as caught:
        begin_primary(vector["text"], FIRST.list, 2, NO_ENTROPY, NOW_MS)
    assert caught.value.code == vector["expect"]


def test_a_code_of_another_app_is_refused() -> None:
    code = begin_companion("instagram", SeededEntropy("code"), NOW_MS).code
    with pytest.raises(LinkFailed, match="instagram"):
        begin_primary(code, FIRST.list, 2, NO_ENTROPY, NOW_MS)


@pytest.mark.parametrize("number", [1, 0, -1, 128, True, "2", None])
def test_a_number_that_no_companion_has_is_refused(number: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument):
        begin_primary(LINKING["text"], FIRST.list, number, NO_ENTROPY, NOW_MS)


def test_a_number_that_is_taken_is_refused() -> None:
    own = SignedDeviceList.decode(unhex(LINKING["signed_list"])).list
    with pytest.raises(InvalidArgument, match=r"^number "):
        begin_primary(LINKING["text"], own, 2, NO_ENTROPY, NOW_MS)
    assert offered(3, own).address.device == 3
    assert offered(127).address.device == 127


def test_every_changed_byte_of_an_answer_ends_the_attempt() -> None:
    answer = unhex(LINKING["answer"])
    phone = offered()
    for place in range(len(answer)):
        changed = answer[:place] + bytes((answer[place] ^ 1,)) + answer[place + 1 :]
        with pytest.raises(LinkFailed):
            phone.take_answer(changed, NOW_MS)


def test_an_answer_of_a_later_version_ends_the_attempt_and_says_why() -> None:
    later = b"\x08\x02" + unhex(LINKING["answer"])[2:]
    with pytest.raises(LinkFailed, match="version 2") as caught:
        offered().take_answer(later, NOW_MS)
    assert isinstance(caught.value.__cause__, UnsupportedVersion)


def test_a_key_of_any_device_of_the_account_is_refused() -> None:
    """Also that of a companion, with a consent to the new number that verifies."""
    own = SignedDeviceList.decode(unhex(devices("lists")[1]["signed"])).list
    laptop = key_pair_from_private(unhex(devices("keys")["laptop"]["private"]))
    for pair in (laptop, ACCOUNT):
        phone = offered(3, own)
        consent = sign_consent(ANA, 3, pair, ACCOUNT.public, SeededEntropy("consent"))
        answer = LinkAnswer(pair.public, consent, bytes(32), "twin")
        with pytest.raises(LinkFailed, match="key of the account"):
            phone.take_answer(
                phone.sealing.seal(phone.sealing.keys.answer, answer.encode()), NOW_MS
            )


def test_an_answer_that_opens_and_holds_nothing_is_malformed() -> None:
    phone = offered()
    with pytest.raises(DecodeError, match="answer"):
        phone.take_answer(phone.sealing.seal(phone.sealing.keys.answer, b""), NOW_MS)


# --- Time -----------------------------------------------------------------------------------


def at_offer(now_ms: int) -> object:
    return answered(at_ms=now_ms)


def at_digits(now_ms: int) -> object:
    return answered().enter_digits(LINKING["digits"], now_ms)


def at_result(now_ms: int) -> object:
    confirmed = answered().enter_digits(LINKING["digits"], NOW_MS)
    return confirmed.take_result(unhex(LINKING["result"]), now_ms)


def at_answer(now_ms: int) -> object:
    return offered().take_answer(unhex(LINKING["answer"]), now_ms)


@pytest.mark.parametrize(
    ("step", "wait_ms"),
    [
        (at_offer, LINK_LIFETIME_MS),
        (at_digits, LINK_LIFETIME_MS),
        (at_result, RESULT_WAIT_MS),
        (at_answer, LINK_LIFETIME_MS),
    ],
)
def test_each_step_has_its_time(step: Callable[[int], object], wait_ms: int) -> None:
    step(NOW_MS + wait_ms)
    step(NOW_MS - 1)  # a clock that was set back ends nothing
    with pytest.raises(LinkFailed, match="too long"):
        step(NOW_MS + wait_ms + 1)


def test_the_times_are_those_that_are_documented() -> None:
    assert (LINK_LIFETIME_MS, RESULT_WAIT_MS) == (300_000, 600_000)
    start, phone = companion(), offered()
    assert start.ends_at_ms == phone.ends_at_ms == NOW_MS + 300_000
    assert answered(at_ms=NOW_MS + 7).ends_at_ms == taken().ends_at_ms == NOW_MS + 300_000
    # The list is waited for from the digits on.
    assert answered().enter_digits(LINKING["digits"], NOW_MS + 7).ends_at_ms == NOW_MS + 600_007


# --- Secrets --------------------------------------------------------------------------------


def all_states() -> list[object]:
    waiting = answered()
    confirmed = waiting.enter_digits(LINKING["digits"], NOW_MS)
    linked = confirmed.take_result(unhex(LINKING["result"]), NOW_MS)
    return [companion(), waiting, confirmed, linked, offered(), taken(), waiting.sealing]


@pytest.mark.parametrize("state", all_states(), ids=lambda state: type(state).__name__)
def test_no_state_shows_what_it_holds(state: Secret) -> None:
    assert repr(state) == f"<{type(state).__name__}: secret>"
    with pytest.raises(TypeError, match="secret"):
        copy.copy(state)


def failing() -> list[Callable[[], object]]:
    offer, answer, result = (unhex(LINKING[name]) for name in ("offer", "answer", "result"))
    confirmed = answered().enter_digits(LINKING["digits"], NOW_MS)
    return [
        lambda: answered(answer),
        lambda: answered().enter_digits("951490", NOW_MS),
        lambda: confirmed.take_result(answer, NOW_MS),
        lambda: offered().take_answer(result, NOW_MS),
        lambda: begin_primary(offer.hex(), FIRST.list, 2, NO_ENTROPY, NOW_MS),
    ]


@pytest.mark.parametrize("fail", failing())
def test_no_error_keeps_what_the_functions_below_held(fail: Callable[[], object]) -> None:
    with pytest.raises(E2ECrossError) as caught:
        fail()
    held: list[object] = []
    errors: list[BaseException | None] = [caught.value]
    while errors:
        error = errors.pop()
        if error is None:
            continue
        errors += [error.__cause__, error.__context__]
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_globals["__name__"].startswith("e2ecross"):
                held += trace.tb_frame.f_locals.values()
            trace = trace.tb_next
    assert not [value for value in held if isinstance(value, bytes | str | Secret | KeyPair)]
    assert LINKING["digits"] not in str(caught.value)


def test_states_are_their_own_classes() -> None:
    """What a caller tells its app by: each step gives another value."""
    names = [type(state).__name__ for state in all_states()]
    assert len({*names}) == len(names)
    assert isinstance(all_states()[3], LinkedDevice)


def test_a_code_read_by_the_phone_is_that_of_the_device() -> None:
    start = companion()
    read = LinkCode.from_text(start.code)
    assert read.ephemeral_key == start.key_pair.public
    assert LinkResult.decode(opened(unhex(LINKING["result"]), "result")).device_list.list.seq == 2
