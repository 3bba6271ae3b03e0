# SPDX-License-Identifier: Apache-2.0
"""Bodies of calls over a network: what goes in comes out, and every bound holds at N and N + 1."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from e2ecross.address import Address, UserId
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    MailboxFull,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.wire._pb.e2ecross.v1 import address_pb2, service_pb2
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import MAX_BLOB_PIECE_BYTES, Deposited, KeysWanted, UserKeys, Waiting
from e2ecross.wire.limits import MAX_COPIES_BYTES, MAX_ENVELOPE_BYTES, MAX_SIGNED_DEVICE_LIST_BYTES
from e2ecross.wire.service_accounts import (
    AddressRequest,
    PublishRequest,
    RegisterRequest,
    decode_count,
    decode_epochs,
    encode_count,
    encode_epochs,
)
from e2ecross.wire.service_blobs import (
    BlobRequest,
    decode_blob,
    decode_stored,
    encode_blob,
    encode_stored,
)
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_devices import (
    LinkRequest,
    PublishDevicesRequest,
    decode_link,
    encode_link,
)
from e2ecross.wire.service_errors import ErrorBody
from e2ecross.wire.service_keys import FetchKeysRequest, decode_user_keys, encode_user_keys
from e2ecross.wire.service_mail import (
    AcknowledgeRequest,
    DepositCopiesRequest,
    DepositRequest,
    FetchRequest,
    decode_deposited,
    decode_waiting,
    encode_deposited,
    encode_waiting,
)
from tests.support.formats import FORMATS
from tests.support.service_bodies import BODIES, BUNDLE

ANA = Address("whatsapp", "ana")
BUDI = UserId("instagram", "budi")
HIGHEST = 2**63 - 1
UNKNOWN = b"\xfa\x07\x03new"  # field 127, length 3

users = st.builds(UserId, st.sampled_from(["whatsapp", "x"]), st.sampled_from(["ana", "b_+-9"]))
addresses = st.builds(
    Address,
    st.sampled_from(["whatsapp", "x"]),
    st.sampled_from(["ana", "b_+-9"]),
    st.integers(1, 127),
)
numbers = st.integers(0, HIGHEST)
tokens = st.binary(min_size=32, max_size=32)
epochs = st.dictionaries(st.integers(0, 65_536), st.integers(1, HIGHEST), max_size=5)
pb_ana = address_pb2.Address(app="whatsapp", user="ana", device=1)
pb_budi = address_pb2.User(app="instagram", user="budi")


# --- What goes in comes out -------------------------------------------------------------------


@pytest.mark.parametrize("name", list(BODIES))
def test_unknown_fields_are_ignored(name: str) -> None:
    decode, example = BODIES[name]
    assert decode(example + UNKNOWN) == decode(example)


@pytest.mark.parametrize("name", list(BODIES))
def test_what_is_no_protobuf_is_refused(name: str) -> None:
    decode, _ = BODIES[name]
    with pytest.raises(DecodeError, match="is not well-formed"):
        decode(b"\x0a\xff")


@given(addresses, st.binary(max_size=50), tokens | st.just(b""))
def test_registrations(address: Address, credential: bytes, replaces: bytes) -> None:
    body = RegisterRequest(address, credential, replaces)
    assert RegisterRequest.decode(body.encode()) == body
    assert RegisterRequest(address).encode() == AddressRequest(address).encode()


@given(st.binary(max_size=50), numbers, st.booleans())
def test_publications(keys: bytes, epoch: int, replace: bool) -> None:
    body = PublishRequest(keys, epoch, replace)
    assert PublishRequest.decode(body.encode()) == body


@given(addresses)
def test_questions_about_an_address(address: Address) -> None:
    assert AddressRequest.decode(AddressRequest(address).encode()).address == address


@given(
    addresses,
    st.lists(
        st.builds(KeysWanted, users, st.none() | st.sets(st.integers(1, 127), max_size=16)),
        min_size=1,
        max_size=32,
    ),
)
def test_questions_for_keys(requester: Address, wanted: list[KeysWanted]) -> None:
    body = FetchKeysRequest(requester, tuple(wanted))
    assert FetchKeysRequest.decode(body.encode()) == body


@given(st.binary(max_size=50), st.dictionaries(st.integers(2, 127), tokens), numbers)
def test_lists_of_devices(signed: bytes, hashes: dict[int, bytes], epoch: int) -> None:
    body = PublishDevicesRequest(signed, hashes, epoch)
    assert PublishDevicesRequest.decode(body.encode()) == body


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2), st.none() | addresses)
def test_link_boxes(link_id: bytes, slot: int, address: Address | None) -> None:
    body = LinkRequest(link_id, slot, b"sealed", address)
    assert LinkRequest.decode(body.encode()) == body


@given(st.lists(st.tuples(st.binary(max_size=9), tokens | st.just(b"")), max_size=9), epochs)
def test_deposits(envelopes: list[tuple[bytes, bytes]], told: dict[int, int]) -> None:
    body = DepositRequest(
        tuple(envelope for envelope, _ in envelopes), told, tuple(token for _, token in envelopes)
    )
    assert DepositRequest.decode(body.encode()) == body


@given(st.binary(max_size=9), epochs)
def test_deposits_of_copies(copies: bytes, told: dict[int, int]) -> None:
    body = DepositCopiesRequest(copies, told)
    assert DepositCopiesRequest.decode(body.encode()) == body


@given(addresses, st.sets(addresses, min_size=1, max_size=9))
def test_copies_are_counted(sender: Address, others: set[Address]) -> None:
    """As many as there are; none in what the back end will refuse."""
    assume(sender not in others)
    recipients = tuple(sorted(others, key=str))
    copies = EnvelopeCopies(bytes(16), sender, recipients, b"sealed").encode()
    assert DepositCopiesRequest(copies, {}).count() == len(recipients)
    for none in (b"", copies[:-1], bytes(MAX_COPIES_BYTES + 1)):
        assert DepositCopiesRequest(none, {}).count() == 0


@given(addresses, st.integers(1, 1000), numbers, st.integers(0, 30_000), st.integers(1, 600_000))
def test_fetches(address: Address, limit: int, after: int, wait_ms: int, hold_ms: int) -> None:
    for held in ({}, {"hold_ms": hold_ms, "holder": bytes(16)}):
        body = FetchRequest(address, limit, after, wait_ms, **held)  # type: ignore[arg-type]
        assert FetchRequest.decode(body.encode()) == body


@given(addresses, st.lists(numbers, max_size=20))
def test_acknowledgements(address: Address, given_numbers: list[int]) -> None:
    body = AcknowledgeRequest(address, tuple(given_numbers))
    assert AcknowledgeRequest.decode(body.encode()) == body


@given(epochs)
def test_epochs(told: dict[int, int]) -> None:
    assert decode_epochs(encode_epochs(told)) == told
    assert decode_epochs(encode_epochs({**told, 2**32 - 1: 0})) == {
        stripe: epoch for stripe, epoch in told.items() if stripe != 2**32 - 1
    }


@given(tokens, st.none() | addresses, numbers, numbers, st.binary(max_size=50))
def test_questions_about_files(
    blob_id: bytes, address: Address | None, offset: int, length: int, data: bytes
) -> None:
    body = BlobRequest(blob_id, address, offset, length, data)
    assert BlobRequest.decode(body.encode()) == body


def test_the_largest_of_each_call_about_files_fits() -> None:
    longest = Address("a" * 32, "b" * 64, 127)
    question = partial(BlobRequest, bytes(32), offset=HIGHEST)
    for name, body in (
        ("begin_blob", question(longest, length=HIGHEST)),
        ("put_blob", question(longest, data=bytes(MAX_BLOB_PIECE_BYTES))),
        ("get_blob", question(length=HIGHEST)),
        ("delete_blob", question(longest)),
    ):
        assert len(body.encode()) <= CALLS[name].max_request
    assert len(encode_blob(bytes(MAX_BLOB_PIECE_BYTES))) <= CALLS["get_blob"].max_answer


@given(numbers, st.binary(max_size=50))
def test_answers_about_files(stored: int, found: bytes) -> None:
    assert decode_stored(encode_stored(stored)) == stored
    assert decode_blob(encode_blob(found)) == found


def test_counts() -> None:
    assert decode_count(encode_count(7)) == 7
    assert decode_count(encode_count(2**40)) == 2**32 - 1


def test_what_is_in_a_link_box() -> None:
    assert decode_link(encode_link(b"sealed")) == b"sealed"
    assert decode_link(encode_link(None)) is None


def test_keys_that_are_handed_out() -> None:
    answers: list[UserKeys | UnknownRecipient] = [
        UserKeys(b"a list", (BUNDLE,)),
        UnknownRecipient("nobody"),
        UserKeys(b"", ()),
    ]
    first, second, third = decode_user_keys(encode_user_keys(answers), 3)
    assert (first, third) == (answers[0], answers[2])
    assert isinstance(second, UnknownRecipient)
    assert str(second) == "nobody"


def test_what_became_of_a_deposit() -> None:
    refused = {
        0: UnknownRecipient("nobody"),
        2: MailboxFull("full"),
        3: BackendRefused("no envelope"),
        4: BackendError("damaged"),
        5: NotRegistered("never said of one envelope"),
    }
    came = decode_deposited(
        encode_deposited(Deposited(refused, {BUDI: 7}, {0: 9, 5: 0})), 6, (0, 5)
    )
    assert {place: type(error) for place, error in came.refused.items()} == {
        **{place: type(error) for place, error in refused.items()},
        5: BackendError,
    }
    assert [str(error) for error in came.refused.values()] == list(map(str, refused.values()))
    assert (came.seqs, came.epochs) == ({BUDI: 7}, {0: 9, 5: 0})


def test_a_sender_without_an_epoch_is_told_from_no_sender() -> None:
    told = encode_deposited(Deposited({}, {BUDI: 0}, {0: 0, 7: 1}))
    assert decode_deposited(told, 1, [0]).epochs == {0: 0}
    nobody = encode_deposited(Deposited({0: BackendRefused("")}))
    assert decode_deposited(nobody, 1, [0]).epochs == {}


def test_what_waits() -> None:
    waiting = [Waiting(3, b"a"), Waiting(HIGHEST, b"b")]
    assert decode_waiting(encode_waiting(waiting), 2, 2) == waiting


# --- Bounds -----------------------------------------------------------------------------------


def _register(**fields: Any) -> service_pb2.RegisterRequest:  # noqa: ANN401
    return service_pb2.RegisterRequest(**{"address": pb_ana, **fields})


def _fetch(**fields: Any) -> service_pb2.FetchRequest:  # noqa: ANN401
    return service_pb2.FetchRequest(**{"address": pb_ana, "limit": 1, **fields})


def _wanted(count: int, **fields: Any) -> service_pb2.FetchKeysRequest:  # noqa: ANN401
    wanted = service_pb2.KeysWanted(**{"user": pb_budi, **fields})
    return service_pb2.FetchKeysRequest(requester=pb_ana, wanted=[wanted] * count)


def _answers(count: int, **fields: Any) -> service_pb2.FetchKeysResponse:  # noqa: ANN401
    return service_pb2.FetchKeysResponse(answers=[service_pb2.UserKeysAnswer(**fields)] * count)


def _refused(*places: int) -> service_pb2.DepositResponse:
    return service_pb2.DepositResponse(
        refused=[service_pb2.Refusal(index=place) for place in places]
    )


def _waiting(*numbers: int, envelope: bytes = b"e") -> service_pb2.FetchResponse:
    return service_pb2.FetchResponse(
        waiting=[service_pb2.Waiting(number=each, envelope=envelope) for each in numbers]
    )


def _epochs(stripes: list[int], told: list[int]) -> service_pb2.Epochs:
    return service_pb2.Epochs(stripes=stripes, epochs=told)


Decode = Callable[[bytes], object]
_keys_of_2: Decode = lambda data: decode_user_keys(data, 2)  # noqa: E731
_deposit_of_2: Decode = lambda data: decode_deposited(data, 2, (0,))  # noqa: E731
_2_after_5: Decode = lambda data: decode_waiting(data, 2, 5)  # noqa: E731

AT_THE_BOUND: list[tuple[Decode, Any]] = [
    (RegisterRequest.decode, _register(credential=bytes(4_096), replaces=bytes(32))),
    (PublishRequest.decode, service_pb2.PublishRequest(epoch=HIGHEST)),
    (FetchKeysRequest.decode, _wanted(32, devices=range(1, 17))),
    (PublishDevicesRequest.decode, service_pb2.PublishDevicesRequest(
        signed_list=bytes(MAX_SIGNED_DEVICE_LIST_BYTES), devices=[127], token_hashes=[bytes(32)])),
    (DepositRequest.decode, service_pb2.DepositRequest(
        envelopes=[b"e"], consents=[b""],
        epochs=_epochs(list(range(1_024)), [1] * 1_024))),
    (DepositCopiesRequest.decode, service_pb2.DepositCopiesRequest(
        copies=bytes(MAX_COPIES_BYTES + 1), epochs=_epochs(list(range(1_024)), [1] * 1_024))),
    (FetchRequest.decode, _fetch(
        limit=1_000, after=HIGHEST, wait_ms=30_000, hold_ms=600_000, holder=bytes(16))),
    (FetchRequest.decode, _fetch(limit=0, hold_ms=1, holder=bytes(16))),
    (AcknowledgeRequest.decode, service_pb2.AcknowledgeRequest(
        address=pb_ana, numbers=[HIGHEST] * 10_000)),
    (BlobRequest.decode, service_pb2.BlobRequest(
        blob_id=bytes(32), offset=HIGHEST, length=HIGHEST, data=bytes(MAX_BLOB_PIECE_BYTES))),
    (decode_stored, service_pb2.BlobResponse(stored=HIGHEST)),
    (decode_epochs, _epochs(list(range(65_537)), [HIGHEST] * 65_537)),
    (_keys_of_2, _answers(2, device_list=bytes(MAX_SIGNED_DEVICE_LIST_BYTES))),
    (_keys_of_2, _answers(2, bundles=[BUNDLE.encode()] * 16)),
    (_deposit_of_2, _refused(0, 1)),
    (_2_after_5, _waiting(6, HIGHEST, envelope=bytes(MAX_ENVELOPE_BYTES))),
]  # fmt: skip

BEYOND: list[tuple[Decode, Any]] = [
    (RegisterRequest.decode, _register(credential=bytes(4_097))),
    (RegisterRequest.decode, _register(replaces=bytes(31))),
    (RegisterRequest.decode, service_pb2.RegisterRequest()),
    (PublishRequest.decode, service_pb2.PublishRequest(epoch=HIGHEST + 1)),
    (AddressRequest.decode, service_pb2.EpochsRequest(
        address=address_pb2.Address(app="WhatsApp", user="ana", device=1))),
    (FetchKeysRequest.decode, _wanted(0)),
    (FetchKeysRequest.decode, _wanted(33)),
    (FetchKeysRequest.decode, _wanted(1, devices=range(1, 18))),
    (FetchKeysRequest.decode, _wanted(1, all=True, devices=[1])),
    (FetchKeysRequest.decode, _wanted(1, user=address_pb2.User(app="whatsapp"))),
    (PublishDevicesRequest.decode, service_pb2.PublishDevicesRequest(
        signed_list=bytes(MAX_SIGNED_DEVICE_LIST_BYTES + 1))),
    (PublishDevicesRequest.decode, service_pb2.PublishDevicesRequest(devices=[2])),
    (PublishDevicesRequest.decode, service_pb2.PublishDevicesRequest(
        devices=[1], token_hashes=[bytes(32)])),
    (PublishDevicesRequest.decode, service_pb2.PublishDevicesRequest(
        devices=[128], token_hashes=[bytes(32)])),
    (PublishDevicesRequest.decode, service_pb2.PublishDevicesRequest(
        devices=[2], token_hashes=[bytes(33)])),
    (PublishDevicesRequest.decode, service_pb2.PublishDevicesRequest(
        devices=[2, 2], token_hashes=[bytes(32)] * 2)),
    (PublishDevicesRequest.decode, service_pb2.PublishDevicesRequest(epoch=HIGHEST + 1)),
    (LinkRequest.decode, service_pb2.LinkRequest(link_id=bytes(15))),
    (LinkRequest.decode, service_pb2.LinkRequest(link_id=bytes(16), slot=3)),
    (DepositRequest.decode, service_pb2.DepositRequest(envelopes=[b"e"], consents=[b"", b""])),
    (DepositRequest.decode, service_pb2.DepositRequest(envelopes=[b"e"], consents=[b"1"])),
    (DepositRequest.decode, service_pb2.DepositRequest(
        epochs=_epochs(list(range(1_025)), [1] * 1_025))),
    (DepositCopiesRequest.decode, service_pb2.DepositCopiesRequest(
        epochs=_epochs(list(range(1_025)), [1] * 1_025))),
    (DepositCopiesRequest.decode, service_pb2.DepositCopiesRequest(epochs=_epochs([0], [0]))),
    (FetchRequest.decode, _fetch(limit=0)),
    (FetchRequest.decode, _fetch(limit=1_001)),
    (FetchRequest.decode, _fetch(after=HIGHEST + 1)),
    (FetchRequest.decode, _fetch(wait_ms=30_001)),
    (FetchRequest.decode, _fetch(hold_ms=600_001, holder=bytes(16))),
    (FetchRequest.decode, _fetch(hold_ms=1)),
    (FetchRequest.decode, _fetch(holder=bytes(16))),
    (AcknowledgeRequest.decode, service_pb2.AcknowledgeRequest(
        address=pb_ana, numbers=[1] * 10_001)),
    (AcknowledgeRequest.decode, service_pb2.AcknowledgeRequest(
        address=pb_ana, numbers=[HIGHEST + 1])),
    (BlobRequest.decode, service_pb2.BlobRequest(blob_id=bytes(31))),
    (BlobRequest.decode, service_pb2.BlobRequest(blob_id=bytes(33))),
    (BlobRequest.decode, service_pb2.BlobRequest(blob_id=bytes(32), offset=HIGHEST + 1)),
    (BlobRequest.decode, service_pb2.BlobRequest(blob_id=bytes(32), length=HIGHEST + 1)),
    (BlobRequest.decode, service_pb2.BlobRequest(
        blob_id=bytes(32), address=address_pb2.Address(app="whatsapp"))),
    (decode_stored, service_pb2.BlobResponse(stored=HIGHEST + 1)),
    (decode_epochs, _epochs([0], [])),
    (decode_epochs, _epochs([0], [0])),
    (decode_epochs, _epochs([1, 1], [1, 1])),
    (decode_epochs, _epochs([2, 1], [1, 1])),
    (decode_epochs, _epochs([0], [HIGHEST + 1])),
    (decode_epochs, _epochs([65_537], [1])),
    (_keys_of_2, _answers(1)),
    (_keys_of_2, _answers(3)),
    (_keys_of_2, _answers(2, code="mailbox_full")),
    (_keys_of_2, _answers(2, bundles=[b"no bundle"])),
    (_keys_of_2, _answers(2, bundles=[BUNDLE.encode()] * 17)),
    (_keys_of_2, _answers(2, device_list=bytes(MAX_SIGNED_DEVICE_LIST_BYTES + 1))),
    (_deposit_of_2, _refused(2)),
    (_deposit_of_2, _refused(1, 0)),
    (_deposit_of_2, _refused(0, 0)),
    (_deposit_of_2, service_pb2.DepositResponse(
        seqs=[service_pb2.AccountSeq(user=pb_budi)] * 4)),
    (_deposit_of_2, service_pb2.DepositResponse(seqs=[service_pb2.AccountSeq()])),
    (_deposit_of_2, service_pb2.DepositResponse(
        seqs=[service_pb2.AccountSeq(user=pb_budi, seq=HIGHEST + 1)])),
    (_2_after_5, _waiting(6, 7, 8)),
    (_2_after_5, _waiting(5)),
    (_2_after_5, _waiting(7, 6)),
    (_2_after_5, _waiting(HIGHEST + 1)),
    (_2_after_5, _waiting(6, envelope=b"")),
    (_2_after_5, _waiting(6, envelope=bytes(MAX_ENVELOPE_BYTES + 1))),
    (decode_link, service_pb2.LinkResponse(found=True)),
    (decode_link, service_pb2.LinkResponse(data=b"sealed")),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(AT_THE_BOUND)))
def test_what_is_at_a_bound_is_read(place: int) -> None:
    decode, fields = AT_THE_BOUND[place]
    decode(fields.SerializeToString())


@pytest.mark.parametrize("place", range(len(BEYOND)))
def test_what_is_beyond_a_bound_is_refused(place: int) -> None:
    decode, fields = BEYOND[place]
    with pytest.raises(DecodeError):
        decode(fields.SerializeToString())


SIZES: list[tuple[str, Decode]] = [
    ("register", RegisterRequest.decode),
    ("publish", PublishRequest.decode),
    ("publish_devices", PublishDevicesRequest.decode),
    ("epochs", AddressRequest.decode),
    ("fetch_keys", FetchKeysRequest.decode),
    ("deposit_all", DepositRequest.decode),
    ("deposit_copies", DepositCopiesRequest.decode),
    ("fetch", FetchRequest.decode),
    ("acknowledge", AcknowledgeRequest.decode),
    ("put_link", LinkRequest.decode),
    ("put_blob", BlobRequest.decode),
]


@pytest.mark.parametrize(("name", "decode"), SIZES, ids=[name for name, _ in SIZES])
def test_size_is_looked_at_first(name: str, decode: Decode) -> None:
    largest = CALLS[name].max_request
    with pytest.raises(DecodeError, match=f"more than the {largest} allowed"):
        decode(b"\xff" * (largest + 1))
    with pytest.raises(DecodeError, match="is not well-formed"):
        decode(b"\xff" * largest)


ANSWERS: list[tuple[str, Decode]] = [
    ("epochs", decode_epochs),
    ("one_time_prekey_count", decode_count),
    ("fetch_keys", _keys_of_2),
    ("deposit_all", _deposit_of_2),
    ("fetch", _2_after_5),
    ("get_link", decode_link),
    ("put_blob", decode_stored),
    ("get_blob", decode_blob),
]


@pytest.mark.parametrize(("name", "decode"), ANSWERS, ids=[name for name, _ in ANSWERS])
def test_size_of_an_answer_is_looked_at_first(name: str, decode: Decode) -> None:
    largest = CALLS[name].max_answer
    with pytest.raises(DecodeError, match=f"more than the {largest} allowed"):
        decode(b"\xff" * (largest + 1))


def test_no_secret_is_in_a_repr() -> None:
    secret = bytes(range(32))
    bodies = [
        RegisterRequest(ANA, secret, secret),
        PublishRequest(secret),
        PublishDevicesRequest(b"", {2: secret}),
        LinkRequest(bytes(16), 0, secret),
        DepositRequest((secret,), {}, (secret,)),
        BlobRequest(secret, data=secret),
        DepositCopiesRequest(secret, {}),
    ]
    for body in bodies:
        assert repr(secret)[2:-1] not in repr(body)


def test_what_a_stranger_says_is_cut_and_printable() -> None:
    said = ErrorBody.decode(ErrorBody("code", "\x1b[31mred\n" + "ä" * 300, 5).encode())
    assert said == ErrorBody("code", ("?[31mred?" + "?" * 300)[:200], 5)
    refused = Deposited({0: BackendRefused("\n\x00evil")})
    assert str(decode_deposited(encode_deposited(refused), 1, ()).refused[0]) == "??evil"
    [unknown] = decode_user_keys(encode_user_keys([UnknownRecipient("\u202eevil")]), 1)
    assert str(unknown) == "?evil"


def test_formats_with_one_encoding_are_others() -> None:
    assert not {name for name in FORMATS if name in BODIES}
