# SPDX-License-Identifier: Apache-2.0
"""Every format of our own, by one name each, with an example: what has exactly one encoding."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from e2ecross.address import Address
from e2ecross.conversation.timeline import Slots
from e2ecross.crypto.kem import kem_key_pair_from_seed
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.passphrase import PassphraseCost
from e2ecross.errors import E2ECrossError, RemoteError, StoreError
from e2ecross.wire.account_records import (
    AccountRecord,
    DeviceName,
    NewDevice,
    OwnAccountRecord,
    decode_push,
    encode_push,
)
from e2ecross.wire.attachment import Attachment
from e2ecross.wire.bundle import (
    KyberPrekey,
    OneTimePrekey,
    PreKeyBundle,
    PublishedKeys,
    SignedPrekey,
)
from e2ecross.wire.consent_records import ConsentRecord
from e2ecross.wire.content import (
    Answer,
    Bytes,
    CommitBytes,
    ConsentGrant,
    ConsentRevoke,
    ControlContent,
    ConversationState,
    ConversationStates,
    Delete,
    DeviceHints,
    DeviceListPush,
    DeviceRequest,
    Edit,
    Expiry,
    Frame,
    Framed,
    GroupCommits,
    GroupPayload,
    GroupResent,
    GroupRetryRequest,
    History,
    HistoryItem,
    Media,
    Mention,
    MessageRef,
    Options,
    Payload,
    Pin,
    Pins,
    Reaction,
    ReadMark,
    ReadMarks,
    Receipt,
    Resent,
    RetryRequest,
    SenderKeyGrant,
    Text,
    Typing,
    decode_content,
    decode_group_payload,
    decode_payload,
    encode_content,
    encode_group_payload,
    encode_inner,
    encode_payload,
)
from e2ecross.wire.conversation_records import (
    ConversationRecord,
    decode_receipt,
    encode_receipt,
)
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from e2ecross.wire.group import GroupDestination, GroupId, GroupSettings, MemberId, Role
from e2ecross.wire.group_commit import (
    AddMember,
    GroupCommit,
    RemoveMember,
    SetRole,
    SignedGroupCommit,
    decode_signed_commit,
)
from e2ecross.wire.group_records import (
    GroupCommitRecord,
    GroupDay,
    GroupRecord,
    GroupState,
    decode_changes,
    decode_grant,
    encode_changes,
    encode_grant,
)
from e2ecross.wire.identity_backup import BackupContent, IdentityBackup
from e2ecross.wire.inbox_records import (
    InboxFailure,
    InboxHold,
    InboxMessage,
    InboxNotice,
    InboxRecord,
    decode_arrival,
    decode_inbox_hold,
    decode_inbox_item,
    encode_arrival,
    encode_inbox_item,
)
from e2ecross.wire.linking import LinkAnswer, LinkCode, LinkMessage, LinkOffer, LinkResult
from e2ecross.wire.padding import pad, unpad
from e2ecross.wire.person_link import LinkedAccount, PersonLink, SignedPersonLink
from e2ecross.wire.queue_records import (
    BacklogRecord,
    OutboxRecord,
    TurnRecord,
    decode_row,
    encode_row,
)
from e2ecross.wire.records import (
    DeviceRecord,
    KyberPrekeyRecord,
    RemoteIdentityRecord,
    SignedPrekeyRecord,
    UpkeepRecord,
    decode_one_time_prekey,
    decode_publication,
    encode_one_time_prekey,
    encode_publication,
)
from e2ecross.wire.sender_key_records import KeyOrigin, OwnSenderKeyRecord, SenderKeyRecord
from e2ecross.wire.session_records import (
    SessionListRecord,
    StoredChain,
    StoredPending,
    StoredSession,
    StoredUsedPrekeys,
    decode_skipped_keys,
    encode_skipped_keys,
)
from e2ecross.wire.shelf_records import (
    GenerationRecord,
    RetryBudgetRecord,
    SentIdRecord,
    SentRecord,
    decode_retry,
    decode_shelf,
    encode_retry,
    encode_shelf,
)
from e2ecross.wire.spqr_records import (
    StoredSpqr,
    StoredSpqrChain,
    StoredSpqrMaterial,
    decode_chunks,
    encode_chunks,
)
from e2ecross.wire.stripe_record import StripeRecord
from e2ecross.wire.timeline_records import ActRecord, SlotRecord, TimelineRecord
from e2ecross.wire.upload_records import (
    BlobEndRecord,
    UploadRecord,
    decode_openable,
    encode_openable,
)
from tests.support import protobuf
from tests.support.points import GOOD_KEY, OTHER_KEY

__all__ = [
    "ADDRESS",
    "ATTACHMENT",
    "BUNDLE",
    "COMMIT",
    "DESTINATION",
    "DEVICES_PAYLOAD",
    "DEVICE_LIST",
    "ENVELOPE",
    "FORMATS",
    "GROUP_ID",
    "GROUP_PAYLOAD",
    "HEADS",
    "KEM_KEY",
    "KYBER_BUNDLE",
    "KYBER_PUBLISHED",
    "MEMBER",
    "MESSAGE_ID",
    "PAYLOAD",
    "PEER",
    "PUBLISHED",
    "RECORDS",
    "REF",
    "SIGNED_COMMIT",
    "SIGNED_LIST",
    "STORED_SESSION",
    "STORED_SPQR",
    "STORED_SPQR_MATERIAL",
    "Format",
]

ADDRESS: Final = Address("whatsapp", "ana")
PEER: Final = Address("signal-2", "budi_+-9", 127)
MESSAGE_ID: Final = bytes(range(16))
_KEY: Final = b"\x5a" * 32
_SIGNATURE: Final = b"\x6b" * 64
KEM_KEY: Final = bytes(kem_key_pair_from_seed(bytes(64)).public)


class Format(NamedTuple):
    """One format: how to write and read it.

    Attributes:
        example: its encoding, with every field set.
        reencode: decode and encode again.
        error: the branch of errors that its decoder raises.
        nested: paths of field numbers that lead to the messages inside.
        start: how many bytes stand before the protobuf.
    """

    example: bytes
    reencode: Callable[[bytes], bytes]
    error: type[E2ECrossError]
    nested: tuple[tuple[int, ...], ...] = ()
    start: int = 0


def _again(cls: Any) -> Callable[[bytes], bytes]:  # noqa: ANN401
    def reencode(data: bytes) -> bytes:
        encoded: bytes = cls.decode(data).encode()
        return encoded

    return reencode


def _content(kind: int) -> Callable[[bytes], bytes]:
    return lambda body: encode_content(decode_content(kind, body))[1]


def _again_signed(data: bytes) -> bytes:
    signed = decode_signed_commit(data)
    return protobuf.message([(1, signed.data), (2, signed.signature)])


def _group_control(content: ControlContent, *nested: tuple[int, ...]) -> Format:
    kind, body = encode_content(content)
    return Format(
        body,
        lambda data: encode_content(decode_content(kind, data))[1],
        RemoteError,
        nested,
    )


def _value(
    example: bytes, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]
) -> Format:
    """A record that is one value."""
    return Format(example, lambda data: encode(decode(data)), StoreError, (), 1)


def _values(example: bytes, decode: Callable[[bytes], Any], encode: Callable[..., bytes]) -> Format:
    """A record that is some values."""
    return Format(example, lambda data: encode(*decode(data)), StoreError, (), 1)


def _inbox_item(item: InboxRecord, *nested: tuple[int, ...]) -> Format:
    return Format(
        encode_inbox_item(item, InboxHold(3, 5)),
        lambda data: encode_inbox_item(decode_inbox_item(data), decode_inbox_hold(data)),
        StoreError,
        nested,
        1,
    )


ENVELOPE: Final = Envelope(MESSAGE_ID, ADDRESS, PEER, MessageKind.PREKEY, b"ciphertext")
BUNDLE: Final = PreKeyBundle(ADDRESS, 1, GOOD_KEY, 2, GOOD_KEY, _SIGNATURE, 3, GOOD_KEY)
PUBLISHED: Final = PublishedKeys(
    ADDRESS,
    16380,
    GOOD_KEY,
    SignedPrekey(2**32 - 1, GOOD_KEY, _SIGNATURE),
    (OneTimePrekey(1, GOOD_KEY), OneTimePrekey(2**32 - 1, GOOD_KEY)),
)
KYBER_BUNDLE: Final = replace(
    BUNDLE, kyber_prekey_id=4, kyber_prekey=KEM_KEY, kyber_prekey_signature=_SIGNATURE
)
KYBER_PUBLISHED: Final = replace(
    PUBLISHED,
    kyber_prekeys=(KyberPrekey(2**32 - 1, KEM_KEY, _SIGNATURE),),
    last_resort_kyber_prekey=KyberPrekey(4, KEM_KEY, _SIGNATURE),
)
PAYLOAD: Final = Payload(ADDRESS, PEER, MESSAGE_ID, 16380, 1_700_000_000_000, Text("halo"))
DEVICE_LIST: Final = DeviceList(
    ADDRESS.user_id,
    2**63 - 1,
    _KEY,
    2**63 - 1,
    (
        ListedDevice(1, PublicKey(GOOD_KEY), b"", b"\x01"),
        ListedDevice(127, PublicKey(OTHER_KEY), _SIGNATURE, b"\x02" * 256),
    ),
    1,
    "v" * 64,
)
SIGNED_LIST: Final = SignedDeviceList(DEVICE_LIST.encode(), _SIGNATURE, DEVICE_LIST)
DEVICES_PAYLOAD: Final = replace(
    PAYLOAD,
    hints=DeviceHints(2**40, bytes(16), 7, MESSAGE_ID),
    peer=PEER.user_id,
    device_list=b"signed list",
)
GROUP_ID: Final = GroupId(_KEY)
HEADS: Final = (bytes(32), _KEY)
DESTINATION: Final = GroupDestination(GROUP_ID, HEADS)
MEMBER: Final = MemberId(ADDRESS.user_id, PublicKey(GOOD_KEY))
_OTHER_MEMBER: Final = MemberId(PEER.user_id, PublicKey(OTHER_KEY))
_SETTINGS: Final = GroupSettings("Trip", b"app data", only_admins_send=True)
COMMIT: Final = GroupCommit(
    GROUP_ID.value,
    HEADS,
    MEMBER,
    2**63,
    (
        AddMember(_OTHER_MEMBER),
        RemoveMember(_OTHER_MEMBER),
        SetRole(_OTHER_MEMBER, Role.ADMIN),
        _SETTINGS,
    ),
)
SIGNED_COMMIT: Final = SignedGroupCommit(COMMIT.encode(), _SIGNATURE, COMMIT)
GROUP_PAYLOAD: Final = GroupPayload(
    *(ADDRESS, DESTINATION, MESSAGE_ID, 16380, 1_700_000_000_000, Text("halo")),
    DeviceHints(2**40, bytes(16)),
)
_ADDED: Final = ((6,), (6, 1), (6, 1, 1))
"""The first change of a commit, down to the user."""
_PERSON_LINK: Final = PersonLink(
    LinkedAccount(PEER.user_id, PublicKey(GOOD_KEY)),
    LinkedAccount(ADDRESS.user_id, PublicKey(GOOD_KEY)),
    1_700_000_000_000,
)
REF: Final = MessageRef(PEER.user_id, MESSAGE_ID, _KEY)
ATTACHMENT: Final = Attachment(
    *(_KEY, 2**36, 22, _KEY[::-1], bytes(32), "image/svg+xml", "a picture.svg"),
    *(640, 480, 2**32 - 1, b"\xff\xd8\xff\xe0"),
)
_MENTIONS: Final = (Mention(0, 2, PEER.user_id), Mention(2, 2, ADDRESS.user_id))
_FRAMED: Final = {
    "framed text": (
        Framed(Text("halo", _MENTIONS, REF), _KEY, Expiry(5, from_read=True), True, "fallback"),
        ((2,), (5,), (5, 2), (5, 2, 3), (5, 3), (5, 3, 1)),
    ),
    "media": (
        Framed(Media(ATTACHMENT, "halo", _MENTIONS, REF, voice=True), _KEY),
        ((5,), (5, 2), (5, 2, 3), (5, 3), (5, 3, 1), (5, 4), (5, 4, 1)),
    ),
    "options": (Framed(Options("who?", ("you", "me"), max_choices=2), _KEY), ((5,), (5, 5))),
    "reaction": (Framed(Reaction(REF, 2**32 - 1, "+"), _KEY), ((5,), (5, 1), (5, 1, 1))),
    "edit": (
        Framed(Edit(REF, 1, "halo", _MENTIONS), _KEY),
        ((5,), (5, 1), (5, 1, 1), (5, 4), (5, 4, 3)),
    ),
    "delete": (Framed(Delete(REF), _KEY), ((5,), (5, 1), (5, 1, 1))),
    "answer": (Framed(Answer(REF, 1, (0, 11)), _KEY), ((5,), (5, 1), (5, 1, 1))),
}
_TIMELINE: Final = TimelineRecord(
    ADDRESS.user_id,
    (
        SlotRecord(
            *(REF.author, REF.message_id, 1, 2**40, REF.digest),
            *encode_content(Framed(Text("halo"), _KEY)),
            acts=(
                ActRecord(
                    4,
                    ADDRESS.user_id,
                    *(MESSAGE_ID, _KEY),
                    encode_inner(Reaction(REF, 1, "+"))[1],
                    False,
                    1,
                ),
            ),
            receipts=((ADDRESS.user_id, 2),),
        ),
        SlotRecord(
            *(ADDRESS.user_id, MESSAGE_ID, 0, 0, b"", 0, b""),
            acts=(
                ActRecord(
                    *(6, PEER.user_id, b"", b""),
                    encode_inner(Delete(MessageRef(ADDRESS.user_id, MESSAGE_ID, _KEY)))[1],
                    *(True, 2**40),
                ),
            ),
        ),
    ),
)
STORED_SESSION: Final = StoredSession(
    local_identity_key=GOOD_KEY,
    remote_identity_key=GOOD_KEY,
    remote_registration_id=1,
    base_key=GOOD_KEY,
    root_key=_KEY,
    ratchet_private_key=_KEY,
    ratchet_public_key=GOOD_KEY,
    sending_chain_key=_KEY,
    sending_message_number=2**32 - 1,
    previous_counter=7,
    receiving_chains=(StoredChain(GOOD_KEY, None, 2**32, 3), StoredChain(GOOD_KEY, _KEY, 1, 0)),
    pending=StoredPending(5, 6, 1_700_000_000_000),
    used_prekeys=StoredUsedPrekeys(
        one_time_prekey_id=33,
        signed_prekey_id=22,
        kyber_prekey_id=44,
        kem_ciphertext_hash=bytes(16),
    ),
)
STORED_SPQR: Final = StoredSpqr(
    is_initiator=True,
    negotiation=1,
    sending_epoch=2**40,
    first_epoch=2**40 - 1,
    chains=(StoredSpqrChain(7, b"", 8, _KEY, 3), StoredSpqrChain(2**32 - 1, _KEY, 1, _KEY, 0)),
    stage=9,
    epoch=2**40 + 1,
    next_chunk=65_535,
    received_chunks=35,
)
STORED_SPQR_MATERIAL: Final = StoredSpqrMaterial(
    chain_root=_KEY,
    authenticator_root=_KEY,
    authenticator_mac_key=_KEY,
    seed=_KEY * 2,
    header=_KEY * 2,
    m=_KEY,
    ciphertext=_KEY * 30,
    vector=_KEY * 36,
    outgoing=_KEY * 5,
)

CONSENT_GRANT: Final = ConsentGrant(
    MESSAGE_ID, (1, 2, 3, 4), 1_000, 1_800_000_000_000, 2**32 - 1, _KEY
)

_WIRE: Final = {
    "envelope": Format(ENVELOPE.encode(), _again(Envelope), RemoteError, ((3,), (4,))),
    "bundle": Format(BUNDLE.encode(), _again(PreKeyBundle), RemoteError, ((2,), (5,), (6,))),
    "publication": Format(
        PUBLISHED.encode(), _again(PublishedKeys), RemoteError, ((2,), (5,), (6,))
    ),
    "bundle with Kyber": Format(
        KYBER_BUNDLE.encode(), _again(PreKeyBundle), RemoteError, ((2,), (5,), (6,), (7,))
    ),
    "publication with Kyber": Format(
        KYBER_PUBLISHED.encode(), _again(PublishedKeys), RemoteError, ((2,), (5,), (6,), (8,), (9,))
    ),
    "payload": Format(
        unpad(encode_payload(PAYLOAD)),
        lambda data: unpad(encode_payload(decode_payload(pad(data)))),
        RemoteError,
        ((2,), (3,), (3, 1)),
    ),
    "payload of an account with a list": Format(
        unpad(encode_payload(DEVICES_PAYLOAD)),
        lambda data: unpad(encode_payload(decode_payload(pad(data)))),
        RemoteError,
        ((2,), (3,), (3, 1), (9,), (10,)),
    ),
    "text": Format(encode_content(Text("halo"))[1], _content(1), RemoteError),
    "bytes": Format(encode_content(Bytes(b"\0\1"))[1], _content(2), RemoteError),
    **{
        name: Format(framed.content_body, _content(framed.kind), RemoteError, nested)
        for name, (framed, nested) in _FRAMED.items()
    },
    "content of an unknown kind": Format(
        Frame(_KEY, Expiry(31_536_000), True, "fallback", b"body").encode(),
        _content(2**31 - 1),
        RemoteError,
        ((2,),),
    ),
    "receipt": Format(
        encode_content(Receipt(Receipt.READ, (bytes(16), MESSAGE_ID), _KEY))[1],
        _content(8),
        RemoteError,
    ),
    "grant of consent": Format(encode_content(CONSENT_GRANT)[1], _content(10), RemoteError),
    "revoke of consent": Format(
        encode_content(ConsentRevoke(MESSAGE_ID, 2**32 - 1))[1], _content(11), RemoteError
    ),
    "typing": Format(
        encode_content(Typing(on=True, group_id=_KEY))[1], _content(2**31 + 48), RemoteError
    ),
    "attachment": Format(ATTACHMENT.encode(), _again(Attachment), RemoteError),
    "retry request": Format(
        encode_content(RetryRequest(MESSAGE_ID, GOOD_KEY, 2**32 - 1, "unknown_session"))[1],
        _content(2**31 + 1),
        RemoteError,
    ),
    "resent": Format(
        encode_content(Resent(MESSAGE_ID, 1_700_000_000_000, Text("halo")))[1],
        _content(2**31 + 2),
        RemoteError,
        ((4,),),
    ),
    "push of device lists": Format(
        encode_content(DeviceListPush((b"one list",)))[1],
        _content(2**31 + 16),
        RemoteError,
    ),
    "pins": Format(
        encode_content(Pins((Pin(PEER.user_id, PublicKey(GOOD_KEY), verified=True),)))[1],
        _content(2**31 + 17),
        RemoteError,
        ((1,), (1, 1)),
    ),
    "history": Format(
        encode_content(
            History((HistoryItem(PEER, PEER.user_id, MESSAGE_ID, 1_700_000_000_000, 1, b"body"),))
        )[1],
        _content(2**31 + 18),
        RemoteError,
        ((1,), (1, 1), (1, 2)),
    ),
    "read marks": Format(
        encode_content(ReadMarks((ReadMark(PEER, MESSAGE_ID),)))[1],
        _content(2**31 + 19),
        RemoteError,
        ((1,), (1, 1)),
    ),
    "device request": Format(
        encode_content(DeviceRequest(unlink=True, capabilities=b"capabilities"))[1],
        _content(2**31 + 20),
        RemoteError,
    ),
    "conversation states": Format(
        encode_content(ConversationStates((ConversationState(ADDRESS.user_id, 1, True, True, 5),)))[
            1
        ],
        _content(2**31 + 49),
        RemoteError,
        ((1,), (1, 1)),
    ),
    "group commit": Format(
        COMMIT.encode(), _again(GroupCommit), RemoteError, ((4,), (4, 1), *_ADDED)
    ),
    "signed group commit": Format(
        protobuf.message([(1, COMMIT.encode()), (2, _SIGNATURE)]),
        _again_signed,
        RemoteError,
        ((1, 4), (1, 4, 1), *((1, *path) for path in _ADDED)),
    ),
    "payload into a group": Format(
        unpad(encode_group_payload(GROUP_PAYLOAD)),
        lambda data: unpad(encode_group_payload(decode_group_payload(pad(data)))),
        RemoteError,
        ((2,), (3,), (3, 2), (9,)),
    ),
    "grant of a sender key": _group_control(SenderKeyGrant(DESTINATION, b"distribution")),
    "group commits": _group_control(
        GroupCommits(GROUP_ID, (CommitBytes(COMMIT.encode(), _SIGNATURE), CommitBytes(b"2", b""))),
        (2,),
    ),
    "group retry request": _group_control(
        GroupRetryRequest(GROUP_ID, HEADS, MESSAGE_ID, MESSAGE_ID, "unknown_sender_key")
    ),
    "message of a group sent again": _group_control(
        GroupResent(DESTINATION, MESSAGE_ID, 1_700_000_000_000, Text("halo")), (6,)
    ),
    "copies": Format(
        EnvelopeCopies(MESSAGE_ID, replace(PEER, device=1), (PEER, ADDRESS), b"cipher").encode(),
        _again(EnvelopeCopies),
        RemoteError,
        ((3,), (4,)),
    ),
    "link code": Format(
        LinkCode(ADDRESS.app, PublicKey(GOOD_KEY), _KEY).encode(), _again(LinkCode), RemoteError
    ),
    "link message": Format(
        LinkMessage(PublicKey(GOOD_KEY), b"sealed").encode(), _again(LinkMessage), RemoteError
    ),
    "link offer": Format(
        LinkOffer(PEER, PublicKey(GOOD_KEY)).encode(), _again(LinkOffer), RemoteError, ((1,),)
    ),
    "link answer": Format(
        LinkAnswer(PublicKey(GOOD_KEY), _SIGNATURE, _KEY, "name", b"capabilities").encode(),
        _again(LinkAnswer),
        RemoteError,
    ),
    "link result": Format(
        LinkResult(SIGNED_LIST).encode(), _again(LinkResult), RemoteError, ((1,), (1, 1), (1, 1, 7))
    ),
    "person link": Format(_PERSON_LINK.encode(), _again(PersonLink), RemoteError, ((2,), (3,))),
    "signed person link": Format(
        SignedPersonLink(
            _PERSON_LINK.encode(), _SIGNATURE, _SIGNATURE[::-1], _PERSON_LINK
        ).encode(),
        _again(SignedPersonLink),
        RemoteError,
        ((1,), (1, 2), (1, 3)),
    ),
    "device list": Format(DEVICE_LIST.encode(), _again(DeviceList), RemoteError, ((7,),)),
    "signed device list": Format(
        SIGNED_LIST.encode(), _again(SignedDeviceList), RemoteError, ((1,), (1, 7))
    ),
    "timeline": Format(
        _TIMELINE.encode(),
        lambda data: Slots.from_bytes(data).to_bytes(),
        RemoteError,
        ((2,), (3,), (3, 1), (3, 8), (3, 8, 2), (3, 9), (3, 9, 1)),
    ),
    "identity backup": Format(
        IdentityBackup(PassphraseCost.MODERATE.work, bytes(16), bytes(12), _KEY).encode(),
        _again(IdentityBackup),
        RemoteError,
    ),
    "identity backup content": Format(
        BackupContent(ADDRESS, _KEY, _KEY).encode(), _again(BackupContent), RemoteError, ((1,),)
    ),
}

RECORDS: Final[Mapping[str, Format]] = {
    "device": Format(
        DeviceRecord(
            *(ADDRESS, _KEY, 1, 2, 3, 5, _KEY, True, 2**40, True, True),
            *(b"\x6b" * 32, 2**40 + 1, 2**40 + 2),
        ).encode(),
        _again(DeviceRecord),
        StoreError,
        ((1,),),
        1,
    ),
    "signed prekey": Format(
        SignedPrekeyRecord(_KEY, _SIGNATURE, 1, 2).encode(),
        _again(SignedPrekeyRecord),
        StoreError,
        (),
        1,
    ),
    "one-time prekey": Format(
        encode_one_time_prekey(_KEY),
        lambda data: encode_one_time_prekey(decode_one_time_prekey(data)),
        StoreError,
        (),
        1,
    ),
    "Kyber prekey": Format(
        KyberPrekeyRecord(b"\x5a" * 64, _SIGNATURE, 1, 2, True).encode(),
        _again(KyberPrekeyRecord),
        StoreError,
        (),
        1,
    ),
    "stored publication": Format(
        encode_publication(b"published keys"),
        lambda data: encode_publication(decode_publication(data)),
        StoreError,
        (),
        1,
    ),
    "remote identity": Format(
        RemoteIdentityRecord(
            PublicKey(GOOD_KEY), PublicKey(GOOD_KEY), True, 1, True, 2, True, 4
        ).encode(),
        _again(RemoteIdentityRecord),
        StoreError,
        (),
        1,
    ),
    "account": Format(
        AccountRecord(SIGNED_LIST, 1, SIGNED_LIST, 2, True, 3, True, True, True, True).encode(),
        _again(AccountRecord),
        StoreError,
        ((1,), (1, 1), (1, 1, 7), (3,), (3, 1), (3, 1, 7)),
        1,
    ),
    "own account": Format(
        OwnAccountRecord(
            True,
            (NewDevice(2, _KEY, 1),),
            (DeviceName(127, "laptop", 1, 2, 3, 4),),
            3,
            True,
            True,
            4,
            5,
            1,
            "a vendor",
        ).encode(),
        _again(OwnAccountRecord),
        StoreError,
        ((2,), (3,)),
        1,
    ),
    "push": _value(encode_push(2**40), decode_push, encode_push),
    "upkeep": Format(UpkeepRecord(1, 2, 3, 4, 5).encode(), _again(UpkeepRecord), StoreError, (), 1),
    "row": _value(encode_row(2**40), decode_row, encode_row),
    "outbox": Format(
        OutboxRecord(
            *(ENVELOPE.encode(), MESSAGE_ID, True, 1, b"body", ADDRESS.user_id), purpose=4
        ).encode(),
        _again(OutboxRecord),
        StoreError,
        ((13,),),
        1,
    ),
    "outbox of groups": Format(
        OutboxRecord(b"copies", MESSAGE_ID, group_id=_KEY, copies=True).encode(),
        _again(OutboxRecord),
        StoreError,
        (),
        1,
    ),
    "backlog": Format(
        BacklogRecord(
            1, 2**40, 3, "untrusted_identity", GOOD_KEY, 2**63, 2**32 - 1, bytes(range(16))
        ).encode(),
        _again(BacklogRecord),
        StoreError,
        (),
        1,
    ),
    "turn": Format(TurnRecord(2, PEER).encode(), _again(TurnRecord), StoreError, ((2,),), 1),
    "stripe": Format(
        StripeRecord(
            2**40, 2**63, ((1, 2), (3, 2**32 - 1)), life=2**64 - 1, outbox_due_ms=2**63
        ).encode(),
        _again(StripeRecord),
        StoreError,
        ((4,),),
        1,
    ),
    "shelf": Format(
        encode_shelf((GenerationRecord(1, 2, 3), GenerationRecord(4, 5, 6))),
        lambda data: encode_shelf(decode_shelf(data)),
        StoreError,
        ((1,),),
        1,
    ),
    "sent message": Format(
        SentRecord(sent_at_ms=1, content_kind=2, content_body=b"body").encode(),
        _again(SentRecord),
        StoreError,
        (),
        1,
    ),
    "copy of a sent message": Format(
        SentRecord(resends=3, identity_key=GOOD_KEY, account=ADDRESS.user_id).encode(),
        _again(SentRecord),
        StoreError,
        ((7,),),
        1,
    ),
    "message that was sent into a group": Format(
        SentRecord(
            sent_at_ms=1, content_kind=2, content_body=b"body", group_id=_KEY, heads=(_KEY,)
        ).encode(),
        _again(SentRecord),
        StoreError,
        (),
        1,
    ),
    "other id of a sent message": Format(
        SentRecord(MESSAGE_ID).encode(), _again(SentRecord), StoreError, (), 1
    ),
    "retry budget": Format(
        RetryBudgetRecord(1, 2, 3, 4).encode(), _again(RetryBudgetRecord), StoreError, (), 1
    ),
    "retry": Format(
        encode_retry(2), lambda data: encode_retry(decode_retry(data)), StoreError, (), 1
    ),
    "sent id": Format(
        SentIdRecord(b"\x01\x02", (1, 2, 127)).encode(), _again(SentIdRecord), StoreError, (), 1
    ),
    "inbox message": _inbox_item(
        InboxMessage(ADDRESS, MESSAGE_ID, 1, 2, b"body", True, True, group=GROUP_ID), (1,), (4,)
    ),
    "inbox message of which nothing is left": _inbox_item(
        InboxMessage(
            *(ADDRESS, MESSAGE_ID, 1, 0, b""),
            *(True, True, ADDRESS.user_id),
            *(True, True, True, True, True, True),
        ),
        *((1,), (4,)),
    ),
    "inbox message without what was viewed once": _inbox_item(
        InboxMessage(ADDRESS, MESSAGE_ID, 1, 3, b"frame", own_copy=True, digest=_KEY), (1,), (4,)
    ),
    "conversation": Format(
        ConversationRecord(1, 0, True, True, 5).encode(),
        _again(ConversationRecord),
        StoreError,
        (),
        1,
    ),
    "stranger": Format(
        ConversationRecord(waiting=3).encode(), _again(ConversationRecord), StoreError, (), 1
    ),
    "consent": Format(
        ConsentRecord(CONSENT_GRANT, 2**32 - 1, 20_000, 1_000).encode(),
        _again(ConsentRecord),
        StoreError,
        ((1,),),
        1,
    ),
    "stored receipt": _value(encode_receipt(_KEY), decode_receipt, encode_receipt),
    "upload": Format(
        UploadRecord(ATTACHMENT, "spool", 1, True, True).encode(),
        _again(UploadRecord),
        StoreError,
        (),
        1,
    ),
    "end of a blob": Format(
        BlobEndRecord(1, 2, 3).encode(), _again(BlobEndRecord), StoreError, (), 1
    ),
    "what may be viewed once": _value(encode_openable(_KEY), decode_openable, encode_openable),
    "inbox failure": _inbox_item(
        InboxFailure(ADDRESS, MESSAGE_ID, "identity_changed", "text", GOOD_KEY, True, GROUP_ID),
        *((1,), (5,)),
    ),
    "inbox notice": _inbox_item(
        InboxNotice(4, ADDRESS.user_id, (1, 127), GOOD_KEY, (MESSAGE_ID, bytes(16)), "code"),
        *((7,), (7, 2)),
    ),
    "arrival": _values(encode_arrival(_KEY, 7), decode_arrival, encode_arrival),
    "session list": Format(
        SessionListRecord(GOOD_KEY, (GOOD_KEY,), GOOD_KEY, 3).encode(),
        _again(SessionListRecord),
        StoreError,
        (),
        1,
    ),
    "session": Format(
        STORED_SESSION.encode(), _again(StoredSession), StoreError, ((12,), (13,), (14,)), 1
    ),
    "spqr": Format(STORED_SPQR.encode(), _again(StoredSpqr), StoreError, ((5,),), 1),
    "changes": _value(encode_changes(2**40), decode_changes, encode_changes),
    "group": Format(
        GroupRecord(
            accepted=True,
            outdated=2,
            joined_at_ms=2**40,
            unannounced=HEADS,
            key_ended_at_ms=2**40,
            days=(GroupDay(PEER.user_id, 2**40, 1024),),
            back=(_OTHER_MEMBER,),
            heard_from=PEER.user_id,
            heard_at_ms=2**40,
            full=True,
        ).encode(),
        _again(GroupRecord),
        StoreError,
        ((6,), (6, 1), (8,), (8, 1), (9,)),
        1,
    ),
    "state of a group": Format(
        GroupState(HEADS, {MEMBER: Role.OWNER, _OTHER_MEMBER: Role.MEMBER}, _SETTINGS).encode(),
        _again(GroupState),
        StoreError,
        ((2,), (2, 1), (2, 1, 1), (3,)),
        1,
    ),
    "stored group commit": Format(
        GroupCommitRecord(SIGNED_COMMIT, 8_191).encode(),
        _again(GroupCommitRecord),
        StoreError,
        ((1, 4), *((1, *path) for path in _ADDED)),
        1,
    ),
    "spqr material": Format(
        STORED_SPQR_MATERIAL.encode(), _again(StoredSpqrMaterial), StoreError, (), 1
    ),
    "spqr chunks": Format(
        encode_chunks({65_535: _KEY, 0: b"\x01" * 32}),
        lambda data: encode_chunks(decode_chunks(data)),
        StoreError,
        (),
        1,
    ),
    "own sender key": Format(
        OwnSenderKeyRecord(2**31 - 1, 2**32 - 1, _KEY, _KEY).encode(),
        _again(OwnSenderKeyRecord),
        StoreError,
        (),
        1,
    ),
    "own sender key of a group of ours": Format(
        OwnSenderKeyRecord(
            *(2**31 - 1, 999, _KEY, _KEY, bytes(16), (bytes(32), _KEY), 1, _KEY, 2, 3)
        ).encode(),
        _again(OwnSenderKeyRecord),
        StoreError,
        (),
        1,
    ),
    "grant of a sender key at rest": Format(
        encode_grant(GOOD_KEY),
        lambda data: encode_grant(decode_grant(data)),
        StoreError,
        (),
        1,
    ),
    "sender key": Format(
        SenderKeyRecord(
            *(2**32 - 1, _KEY, GOOD_KEY, 2_000, 2**40),
            *(KeyOrigin(DESTINATION, PublicKey(GOOD_KEY)), bytes(98)),
        ).encode(),
        _again(SenderKeyRecord),
        StoreError,
        (),
        1,
    ),
    "skipped keys": Format(
        encode_skipped_keys({64: _KEY, 127: b"\x01" * 32}),
        lambda data: encode_skipped_keys(decode_skipped_keys(data)),
        StoreError,
        (),
        1,
    ),
}

FORMATS: Final[Mapping[str, Format]] = {**_WIRE, **RECORDS}
