# SPDX-License-Identifier: Apache-2.0
"""`inspect`: what is sent into groups and about them, without chain keys and what users sent."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Address, Device, Envelope, MessageKind, SenderKeyGroup, Text
from e2ecross.cli.command import _NAMED as OFFERED
from e2ecross.cli.inspect import NAMED
from e2ecross.crypto.group_kdf import hash_commit
from e2ecross.protocol.group_commit import sign_commit
from e2ecross.stores import MemoryStore
from e2ecross.wire.content import (
    CommitBytes,
    ControlContent,
    DeviceHints,
    GroupCommits,
    GroupPayload,
    GroupResent,
    GroupRetryRequest,
    SenderKeyGrant,
    encode_content,
    encode_group_payload,
)
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.group import GroupDestination, GroupId, GroupSettings, Role
from e2ecross.wire.group_commit import (
    AddMember,
    GroupOp,
    RemoveMember,
    SetRole,
    SignedGroupCommit,
)
from e2ecross.wire.limits import MAX_COPIES
from e2ecross.wire.sender_key_message import SenderKeyForm, decode_distribution
from tests.cli.support import Ended, call, run
from tests.support import protobuf
from tests.support.groups import Account, begin, commit
from tests.support.vectors import groups, unhex

ANA, BUDI, CITRA = map(Account, ("whatsapp:ana", "instagram:budi", "messenger:citra"))
HIDDEN = "the cake is in the oven"
MESSAGE_ID = bytes(range(64, 80))
NOT_SIGNED = "NOT SIGNED PROPERLY: "
GRAPH = begin(ANA, AddMember(BUDI.member), GroupSettings("Trip", b"a secret of the app", True))
GENESIS = GRAPH.nodes[0].signed
HEADS = tuple(sorted(GRAPH.heads))
HERE = GroupDestination(GRAPH.group_id, HEADS)


class Keys:
    """A sender key of each form: what gives it, its chain key, and a message under it."""

    def __init__(self) -> None:
        device = Device.create(Address("whatsapp", "ana"), MemoryStore())
        self.given: dict[SenderKeyForm, bytes] = {}
        self.messages: dict[SenderKeyForm, bytes] = {}
        for form, group in (
            (SenderKeyForm.UUID, SenderKeyGroup.uuid(bytes(range(16)))),
            (SenderKeyForm.KEY_ID, SenderKeyGroup.key_id(b"trip")),
        ):
            self.given[form] = device.new_sender_key_raw(group)
            device.encrypt_group_raw(group, b"?")
            self.messages[form] = device.encrypt_group_raw(group, HIDDEN.encode())


KEYS = Keys()
FORMS = {SenderKeyForm.UUID: "uuid", SenderKeyForm.KEY_ID: "key-id"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inspect") / "group"


def _inspect(file: Path, data: bytes, *options: str) -> Ended:
    file.write_bytes(data)
    ended = call("inspect", *options, str(file))
    assert "Traceback" not in ended.err
    assert all(len(line) <= 80 for line in ended.out.splitlines() if '"' not in line)
    return ended


def _view(file: Path, data: bytes, *options: str) -> dict[str, Any]:
    ended = _inspect(file, data, "--json", *options)
    assert (ended.code, ended.err) == (0, "")
    view = json.loads(ended.out)
    assert isinstance(view, dict)
    return view


def _packed(file: Path, data: bytes, *options: str) -> str:
    ended = _inspect(file, data, *options)
    assert (ended.code, ended.err) == (0, "")
    return "".join(ended.out.split())


def _body(content: ControlContent) -> bytes:
    return encode_content(content)[1]


def _alone(signed: SignedGroupCommit) -> bytes:
    return protobuf.message([(1, signed.data), (2, signed.signature)])


def _bytes_of(signed: SignedGroupCommit) -> CommitBytes:
    return CommitBytes(signed.data, signed.signature)


def _shows(packed: str, *texts: str) -> None:
    for text in texts:
        assert text.replace(" ", "") in packed


def _shows_nothing_of(file: Path, data: bytes, secret: bytes, *options: str) -> None:
    for more in ((), ("--json",)):
        packed = _packed(file, data, *options, *more)
        for at in range(len(secret) - 3):
            assert secret[at : at + 4].hex() not in packed
            assert secret[at : at + 4].decode("latin-1") not in packed


# --- Copies -------------------------------------------------------------------------------------

SENDER, OTHERS = (
    Address("whatsapp", "ana"),
    (Address("instagram", "budi"), Address("messenger", "c")),
)


def test_copies_show_who_gets_one_message(file: Path) -> None:
    message = KEYS.messages[SenderKeyForm.UUID]
    data = EnvelopeCopies(MESSAGE_ID, SENDER, OTHERS, message).encode()
    view = _view(file, data)
    header = view.pop("sender_key")
    assert view == {
        "kind": "copies",
        "message_id": MESSAGE_ID.hex(),
        "sender": str(SENDER),
        "recipients": [str(each) for each in OTHERS],
        "size_bytes": len(data),
        "ciphertext_bytes": len(message),
        "problem": None,
    }
    assert (header["distribution_id"], header["iteration"]) == (bytes(range(16)).hex(), 1)
    _shows(
        _packed(file, data),
        f"from {SENDER} to 2 devices: {OTHERS[0]} {OTHERS[1]} message id {MESSAGE_ID.hex()}",
        f"size {len(data)} bytes",
        f"distribution id {bytes(range(16)).hex()}",
        f"signature 64 bytes: {message[-64:].hex()}",
    )


def test_copies_for_one_are_an_envelope(file: Path) -> None:
    message = KEYS.messages[SenderKeyForm.UUID]
    data = EnvelopeCopies(MESSAGE_ID, SENDER, OTHERS[:1], message).encode()
    assert data == Envelope(MESSAGE_ID, SENDER, OTHERS[0], MessageKind.SENDER_KEY, message).encode()
    view = _view(file, data)
    assert (view["kind"], view["recipient"]) == ("sender_key", str(OTHERS[0]))


def test_copies_of_something_else_and_the_most_of_them(file: Path) -> None:
    everybody = sorted((Address("whatsapp", f"u{number}") for number in range(MAX_COPIES)), key=str)
    data = EnvelopeCopies(MESSAGE_ID, SENDER, tuple(everybody), b"?").encode()
    view = _view(file, data)
    assert (len(view["recipients"]), view["sender_key"]) == (MAX_COPIES, None)
    assert view["problem"] == "a sender-key message cannot have 1 bytes"
    _shows(_packed(file, data), "does not decode: a sender-key message cannot have 1 bytes")


# --- Messages of sender keys -------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_message_under_a_sender_key_is_shown_in_the_form_that_is_named(
    file: Path, form: SenderKeyForm
) -> None:
    message, named = KEYS.messages[form], f"sender-key-message-{FORMS[form]}"
    view = _view(file, message, "--as", named)
    header = view.pop("sender_key")
    assert view == {
        "kind": "sender_key_message",
        "size_bytes": len(message),
        "form": form.value,
    }
    assert (header["iteration"], header["signature"]) == (1, message[-64:].hex())
    has_id = form is SenderKeyForm.UUID
    assert header["distribution_id"] == (bytes(range(16)).hex() if has_id else None)
    named_by = bytes(range(16)).hex() if has_id else "none: this form has none"
    shown = f"form {form.value} size {len(message)} bytes"
    packed = _packed(file, message, "--as", named)
    _shows(packed, shown, f"distribution id {named_by}", f"chain id {header['chain_id']}")


@pytest.mark.parametrize("form", FORMS)
def test_a_distribution_message_is_shown_without_its_chain_key(
    file: Path, form: SenderKeyForm
) -> None:
    data, named = KEYS.given[form], f"distribution-{FORMS[form]}"
    key = decode_distribution(form, data)
    assert _view(file, data, "--as", named) == {
        "kind": "distribution",
        "size_bytes": len(data),
        "form": form.value,
        "distribution_id": None if key.distribution_id is None else key.distribution_id.hex(),
        "chain_id": key.chain_id,
        "iteration": 0,
        "signing_key": key.signing_key.hex(),
    }
    packed = _packed(file, data, "--as", named)
    _shows(packed, f"signing key {key.signing_key.hex()} chain key 32 bytes, not shown")
    _shows_nothing_of(file, data, key.chain_key, "--as", named)


@pytest.mark.parametrize("form", FORMS)
def test_the_wrong_name_is_refused_and_the_other_form_with_it(
    file: Path, form: SenderKeyForm
) -> None:
    other = next(each for each in FORMS if each is not form)
    for data, named in (
        (KEYS.messages[form], f"sender-key-message-{FORMS[other]}"),
        (KEYS.given[form], f"distribution-{FORMS[other]}"),
        (KEYS.messages[form], f"distribution-{FORMS[form]}"),
        (GENESIS.data, f"distribution-{FORMS[form]}"),
    ):
        ended = _inspect(file, data, "--as", named)
        assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)


@pytest.mark.parametrize("form", FORMS)
def test_without_a_name_it_is_asked_for(file: Path, form: SenderKeyForm) -> None:
    for data in (KEYS.messages[form], KEYS.given[form]):
        ended = _inspect(file, data)
        assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
        assert "say which with --as" in ended.err


def test_the_names_are_those_that_are_read(file: Path) -> None:
    assert set(OFFERED) == set(NAMED)
    ended = _inspect(file, b"", "--as", "envelope")
    assert (ended.code, ended.out) == (2, "")


def test_it_is_read_from_standard_input() -> None:
    data = KEYS.given[SenderKeyForm.UUID]
    ended = run("inspect", "-", "--as", "distribution-uuid", stdin=data)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"chain key           32 bytes, not shown" in ended.stdout


# --- Commits ------------------------------------------------------------------------------------


def test_a_genesis_shows_whom_it_adds_and_which_group_it_makes(file: Path) -> None:
    view = _view(file, _alone(GENESIS))
    author = {"user": "whatsapp:ana", "account_key": ANA.pair.public.hex()}
    budi = {"user": "instagram:budi", "account_key": BUDI.pair.public.hex()}
    ops = view.pop("ops")
    assert view == {
        "kind": "group_commit",
        "size_bytes": len(GENESIS.data),
        "group": str(GRAPH.group_id),
        "hash": hash_commit(GENESIS.data).hex(),
        "parents": [],
        "author": author,
        "made_at_ms": GENESIS.commit.made_at_ms,
        "nonce": bytes(32).hex(),
        "signature": GENESIS.signature.hex(),
        "problem": None,
    }
    nobody = {"member": None, "role": None}
    trip = {"name": "Trip", "app_data_bytes": 19, "only_admins_send": True}
    no_settings = {"name": None, "app_data_bytes": None, "only_admins_send": None}
    assert ops == [
        {"op": "add", "member": author, "role": None, **no_settings},
        {"op": "add", "member": budi, "role": None, **no_settings},
        {"op": "settings", **nobody, **trip},
    ]
    _shows(
        _packed(file, _alone(GENESIS)),
        f"group {GRAPH.group_id}",
        f"hash {HEADS[0].hex()} follows none: it begins the group",
        f"author whatsapp:ana {ANA.pair.public.hex()}",
        "made 2027-01-15 08:00:00 UTC (by the clock of the author)",
        f"adds instagram:budi {BUDI.pair.public.hex()}",
        "sets the name 'Trip' sets who sends owners and admins alone",
        "sets app data 19 bytes, not shown",
        f"signature {GENESIS.signature.hex()}",
        "The signature verifies under the account key above",
    )
    _shows_nothing_of(file, _alone(GENESIS), b"a secret of the app")


@pytest.mark.parametrize(
    ("author", "op", "name", "shown"),
    [
        (ANA, AddMember(CITRA.member), "add", "adds messenger:citra"),
        (ANA, RemoveMember(BUDI.member), "remove", "removes instagram:budi"),
        (
            ANA,
            SetRole(BUDI.member, Role.ADMIN),
            "set_role",
            "role instagram:budi, to be admin",
        ),
        (BUDI, RemoveMember(BUDI.member), "leave", "leaves instagram:budi"),
        (
            ANA,
            SetRole(ANA.member, Role.MEMBER),
            "step_down",
            "down whatsapp:ana, to be member",
        ),
        (ANA, GroupSettings("", b""), "settings", "sets the name '' sets who sends all members"),
    ],
)
def test_each_change_is_told(
    file: Path, author: Account, op: GroupOp, name: str, shown: str
) -> None:
    signed = commit(GRAPH, author, op).nodes[-1].signed
    view = _view(file, _alone(signed))
    (told,) = view["ops"]
    assert (told["op"], view["group"], view["nonce"]) == (name, str(GRAPH.group_id), None)
    assert view["parents"] == [each.hex() for each in HEADS]
    _shows(_packed(file, _alone(signed)), f"follows {HEADS[0].hex()}", shown)


def test_a_commit_alone_says_that_it_is_not_signed(file: Path) -> None:
    view = _view(file, GENESIS.data)
    assert (view["signature"], view["problem"]) == (None, None)
    assert view["hash"] == hash_commit(GENESIS.data).hex()
    _shows(_packed(file, GENESIS.data), "signature none", "nothing shows who made it")


def test_a_signature_that_does_not_verify_is_told(file: Path) -> None:
    by_budi = sign_commit(GENESIS.commit, BUDI.pair, BUDI.entropy)
    for signed in (by_budi, replace(GENESIS, signature=bytes(64))):
        view = _view(file, _alone(signed))
        assert "not that of the account key" in view["problem"]
        packed = _packed(file, _alone(signed))
        _shows(packed, NOT_SIGNED)
        assert "Thesignatureverifies" not in packed


def test_recorded_commits_verify(file: Path) -> None:
    life = groups("life")
    for item in life["commits"]:
        signed = SignedGroupCommit.decode(unhex(item["commit"]), unhex(item["signature"]))
        view = _view(file, _alone(signed))
        assert (view["group"], view["problem"]) == (f"group:{life['group_id']}", None)
        assert view["hash"] == item["hash"]


def test_a_name_plays_no_tricks(file: Path) -> None:
    hostile = "\x1b[2J\nfollows\u202e"
    signed = commit(GRAPH, ANA, GroupSettings(hostile)).nodes[-1].signed
    for options in ((), ("--json",)):
        out = _inspect(file, _alone(signed), *options).out
        assert out.isascii()
        assert "\x1b" not in out
    _shows(_packed(file, _alone(signed)), f"sets the name {hostile!a}")


def test_a_later_commit_is_told(file: Path) -> None:
    later = replace(GENESIS, data=b"\x08\x02" + GENESIS.data[2:])
    ended = _inspect(file, _body(GroupCommits(GRAPH.group_id, (_bytes_of(later),))))
    assert ended.code == 0
    assert "version 2 of a commit of a group is not supported" in " ".join(ended.out.split())
    for data, told in (
        (_alone(later), "version 2 of a commit of a group is not supported"),
        (later.data, "2 is not supported"),  # of what, such bytes do not tell
    ):
        ended = _inspect(file, data)
        assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
        assert told in ended.err


# --- What clients tell each other ---------------------------------------------------------------


def test_commits_are_shown_each_by_itself(file: Path) -> None:
    second = commit(GRAPH, ANA, RemoveMember(BUDI.member)).nodes[-1].signed
    forged = replace(second, signature=GENESIS.signature)
    came = (_bytes_of(GENESIS), CommitBytes(b"\0", b""), _bytes_of(forged))
    data = _body(GroupCommits(GRAPH.group_id, came))
    view = _view(file, data)
    first, unread, third = view.pop("commits")
    assert view == {
        "kind": "group_commits",
        "size_bytes": len(data),
        "group": str(GRAPH.group_id),
    }
    assert first == _view(file, _alone(GENESIS))
    assert (unread["kind"], unread["size_bytes"]) == ("unread_commit", 1)
    assert third["problem"] is not None
    packed = _packed(file, data)
    _shows(packed, f"of {GRAPH.group_id}", "commits 3", "A commit of 1 bytes that does not decode")
    _shows(packed, "The signature verifies", NOT_SIGNED, "removes instagram:budi")


def test_a_grant_is_shown_without_its_chain_key(file: Path) -> None:
    given = KEYS.given[SenderKeyForm.UUID]
    key = decode_distribution(SenderKeyForm.UUID, given)
    data = _body(SenderKeyGrant(HERE, given))
    assert _view(file, data) == {
        "kind": "sender_key_grant",
        "size_bytes": len(data),
        "group": str(GRAPH.group_id),
        "heads": [each.hex() for each in HEADS],
        "distribution": _view(file, given, "--as", "distribution-uuid"),
        "problem": None,
    }
    _shows(
        _packed(file, data),
        f"group {GRAPH.group_id} heads {HEADS[0].hex()} grant {len(data)} bytes",
        f"signing key {key.signing_key.hex()} chain key 32 bytes, not shown",
    )
    _shows_nothing_of(file, data, key.chain_key)


def test_a_grant_of_something_else_is_told(file: Path) -> None:
    data = _body(SenderKeyGrant(HERE, KEYS.given[SenderKeyForm.KEY_ID]))
    view = _view(file, data)
    assert view["distribution"] is None
    assert view["problem"] is not None
    _shows(_packed(file, data), "inside does not decode", view["problem"])


@pytest.mark.parametrize(
    ("request_", "wanted", "shown"),
    [
        (
            GroupRetryRequest(GRAPH.group_id, HEADS, MESSAGE_ID, bytes(16), "unknown_sender_key"),
            {
                "group": str(GRAPH.group_id),
                "heads": [each.hex() for each in HEADS],
                "message_id": MESSAGE_ID.hex(),
                "distribution_id": bytes(16).hex(),
                "reason": "unknown_sender_key",
            },
            f"message id {MESSAGE_ID.hex()} distribution id {bytes(16).hex()} why unknown",
        ),
        (
            GroupRetryRequest(None, (), b"", b"", "x"),
            {
                "group": None,
                "heads": [],
                "message_id": None,
                "distribution_id": None,
                "reason": "x",
            },
            "message id none: it asks for commits alone distribution id not told why x",
        ),
    ],
)
def test_a_retry_request_shows_what_it_asks_for(
    file: Path, request_: GroupRetryRequest, wanted: Mapping[str, object], shown: str
) -> None:
    data = _body(request_)
    kind = {"kind": "group_retry_request", "size_bytes": len(data)}
    assert _view(file, data) == {**kind, **wanted}
    _shows(_packed(file, data), shown)


def test_a_message_sent_again_is_shown_without_what_it_says(file: Path) -> None:
    data = _body(GroupResent(HERE, MESSAGE_ID, 2**64 - 1, Text(HIDDEN)))
    view = _view(file, data)
    assert view.pop("content_bytes") > len(HIDDEN)
    assert view == {
        "kind": "group_resent",
        "size_bytes": len(data),
        "group": str(GRAPH.group_id),
        "heads": [each.hex() for each in HEADS],
        "message_id": MESSAGE_ID.hex(),
        "sent_at_ms": 2**64 - 1,
        "content_kind": 1,
    }
    packed = _packed(file, data)
    _shows(packed, "sent 18446744073709551615 ms after 1970", "content kind 1")
    assert "cake" not in packed
    _shows_nothing_of(file, data, HIDDEN.encode())


@pytest.mark.parametrize("hints", [None, DeviceHints(7, bytes(range(16)))])
def test_a_payload_is_shown_without_what_it_says(file: Path, hints: DeviceHints | None) -> None:
    data = encode_group_payload(
        GroupPayload(SENDER, HERE, MESSAGE_ID, 5, 1_800_000_000_000, Text(HIDDEN), hints)
    )
    view = _view(file, data)
    assert view.pop("content_bytes") > len(HIDDEN)
    assert view == {
        "kind": "group_payload",
        "size_bytes": len(data),
        "sender": str(SENDER),
        "group": str(GRAPH.group_id),
        "heads": [each.hex() for each in HEADS],
        "message_id": MESSAGE_ID.hex(),
        "registration_id": 5,
        "sent_at_ms": 1_800_000_000_000,
        "content_kind": 1,
        "list_seq": None if hints is None else 7,
        "list_hash": None if hints is None else bytes(range(16)).hex(),
    }
    packed = _packed(file, data)
    told = "own list not told" if hints is None else f"own list number 7, {bytes(range(16)).hex()}"
    _shows(packed, f"from {SENDER} group {GRAPH.group_id}", told, "sent 2027-01-15 08:00:00 UTC")
    assert "cake" not in packed
    _shows_nothing_of(file, data, HIDDEN.encode())


def test_the_most_heads_are_shown(file: Path) -> None:
    heads = tuple(bytes([number]) * 32 for number in range(16))
    data = _body(GroupRetryRequest(GroupId(bytes(32)), heads, b"", b"", "x"))
    assert _view(file, data)["heads"] == [each.hex() for each in heads]


EVERYTHING = (
    *(_alone(GENESIS), GENESIS.data),
    _body(GroupCommits(GRAPH.group_id, (_bytes_of(GENESIS),))),
    _body(SenderKeyGrant(HERE, KEYS.given[SenderKeyForm.UUID])),
    _body(GroupRetryRequest(GRAPH.group_id, HEADS, MESSAGE_ID, bytes(16), "x")),
    _body(GroupResent(HERE, MESSAGE_ID, 1, Text(HIDDEN))),
    encode_group_payload(GroupPayload(SENDER, HERE, MESSAGE_ID, 5, 1, Text(HIDDEN))),
    EnvelopeCopies(MESSAGE_ID, SENDER, OTHERS, KEYS.messages[SenderKeyForm.UUID]).encode(),
)


@given(st.data())
def test_what_is_damaged_is_shown_or_refused(file: Path, data: st.DataObject) -> None:
    genuine = data.draw(st.sampled_from(EVERYTHING))
    at = data.draw(st.integers(0, len(genuine) - 1))
    damaged = genuine[:at] + data.draw(st.binary(max_size=3)) + genuine[at + 1 :]
    ended = _inspect(file, damaged)
    refused = (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    assert refused or (ended.code, ended.err) == (0, "")
    assert "cake" not in ended.out + ended.err


@pytest.mark.parametrize("named", NAMED)
@given(st.data())
def test_what_is_damaged_and_named_is_shown_or_refused(
    file: Path, named: str, data: st.DataObject
) -> None:
    genuine = data.draw(st.sampled_from([*KEYS.given.values(), *KEYS.messages.values()]))
    at = data.draw(st.integers(0, len(genuine) - 1))
    damaged = genuine[:at] + data.draw(st.binary(max_size=3)) + genuine[at + 1 :]
    ended = _inspect(file, damaged, "--as", named)
    refused = (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    assert refused or (ended.code, ended.err) == (0, "")
