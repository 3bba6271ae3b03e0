# SPDX-License-Identifier: Apache-2.0
"""Targets: every decoder.

A format of `tests.support.formats` is one by being there. Any other decoder has a line in
`_OTHERS`. `test_corpus.py` fails for a decoder of the package that no target calls.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from e2ecross.address import Address
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.kem import decode_kem_public_key, kem_key_pair_from_seed
from e2ecross.crypto.keys import decode_public_key
from e2ecross.crypto.spqr_kdf import AuthKey
from e2ecross.errors import DecodeError, E2ECrossError, InvalidArgument, RemoteError, StoreError
from e2ecross.protocol.safety_number import combine_fingerprints
from e2ecross.protocol.session_storage import session_from_record, session_to_record
from e2ecross.protocol.spqr.state import (
    SpqrState,
    find_spqr_key,
    spqr_send,
    start_spqr,
    use_spqr_key,
)
from e2ecross.stores.sealing_header import create_sealing, open_sealing
from e2ecross.wire.capabilities import decode_capabilities, encode_capabilities
from e2ecross.wire.content import decode_payload, encode_payload
from e2ecross.wire.fingerprint import decode_fingerprints, encode_fingerprints
from e2ecross.wire.linking import LinkCode
from e2ecross.wire.sender_key_message import (
    SenderKeyForm,
    decode_distribution,
    decode_sender_key_message,
)
from e2ecross.wire.session_records import StoredChain, StoredSession
from e2ecross.wire.signal_message import (
    VERSION_4,
    KyberPrekeyUse,
    decode_prekey_signal_message,
    decode_signal_message,
    encode_prekey_signal_message,
    encode_signal_message_body,
    is_canonical_prekey_signal_message,
)
from e2ecross.wire.spqr_message import decode_spqr_message
from tests.fuzz.target import Target, outcome
from tests.support import protobuf
from tests.support.entropy import SeededEntropy
from tests.support.formats import FORMATS, PAYLOAD, STORED_SESSION, Format
from tests.support.points import BAD_KEYS, GOOD_KEY
from tests.support.sender_keys import FORMS, vectors_of
from tests.support.service_bodies import BODIES
from tests.support.values import with_fields
from tests.support.vectors import unhex

__all__ = ["DECODE", "DECODERS", "SERVICE"]

_STORE_KEY: Final = bytes(range(32))


def _decode_once(form: Format) -> Callable[[bytes], str]:
    """A format of our own: what decodes is encoded again to the same bytes."""

    def decode(data: bytes) -> str:
        again: list[bytes] = []
        came = outcome(lambda: again.append(form.reencode(data)), form.error)
        assert all(encoded == data for encoded in again), "a second encoding"
        return came

    return decode


def _one_encoding(form: Format) -> Target:
    decode = _decode_once(form)

    def run(data: bytes) -> str:
        # Most changes make a second encoding, and that is all that is noticed of them.
        return f"{decode(data)},{decode(_tidied(data, form))}"

    return Target(run, lambda: (form.example, *_hostile(form.example, form.start)))


def _tidied(data: bytes, form: Format) -> bytes:
    """The bytes with all fields in order and in minimal numbers, also within fields."""
    head, body = data[: form.start], data[form.start :]
    with contextlib.suppress(IndexError, MemoryError):
        return head + _in_order(body, (), form.nested)
    return data


def _in_order(body: bytes, path: tuple[int, ...], nested: Sequence[tuple[int, ...]]) -> bytes:
    items = []
    for number, value in sorted(protobuf.fields(body), key=lambda item: item[0]):
        if isinstance(value, bytes) and (*path, number) in nested:
            value = _in_order(value, (*path, number), nested)
        items.append((number, value))
    return protobuf.message([item for item in items if item[1] not in (0, b"")])


def _decoder(
    decode: Callable[[bytes], object], error: type[E2ECrossError], *seeds: bytes
) -> Target:
    return Target(lambda data: outcome(lambda: decode(data), error), lambda: seeds)


def _hostile(example: bytes, start: int) -> Sequence[bytes]:
    """What no encoder writes: see `docs/wire-format.md`, conventions."""
    head, body = example[:start], example[start:]
    deep = b""
    for _ in range(120):
        deep = protobuf.message([(1, deep)])
    return (
        head + body + body,
        head + body + protobuf.message([(15, b"unknown")]),
        head + body + protobuf.message([(536_870_911, 2**64 - 1)]),
        head + protobuf.varint(8, padding=4) + protobuf.varint(1, padding=4) + body[2:],
        head + body + b"\x9b\x01" * 40,  # groups that are opened and never closed
        head + deep,
        example[:-1],
    )


def _session(data: bytes) -> None:
    """Bytes become a session, and a session becomes the same bytes."""
    session = session_from_record(StoredSession.decode(data))
    assert session_to_record(session).encode() == data


def _capabilities(data: bytes) -> None:
    """What announces something does so in its one encoding."""
    ids = decode_capabilities(data)
    if not ids:
        raise DecodeError("nothing is announced")
    assert encode_capabilities(ids) == data


def _scanned(data: bytes) -> None:
    number = combine_fingerprints(bytes(64), b"\x01" * 64)
    number.matches(data)


def _prekey_message(data: bytes) -> None:
    decode_prekey_signal_message(data)
    is_canonical_prekey_signal_message(data)


def _prekey_message_4(data: bytes) -> None:
    decode_prekey_signal_message(data, (VERSION_4,))
    is_canonical_prekey_signal_message(data)


def _spqr(data: bytes) -> None:
    """A message for a responder, authentic or not."""
    decode_spqr_message(data)
    found = find_spqr_key(_RESPONDER, data, 100, may_have_no_key=True)
    use_spqr_key(_RESPONDER, found)


def _spqr_ends() -> tuple[SpqrState | None, bytes]:
    """A responder that has heard one message, and the next one."""
    key, entropy = AuthKey(bytes(32)), SeededEntropy("spqr")
    initiator, first, _ = spqr_send(start_spqr(key, is_initiator=True, is_required=True), entropy)
    responder = start_spqr(key, is_initiator=False, is_required=True)
    found = find_spqr_key(responder, first, 1, may_have_no_key=False)
    return use_spqr_key(responder, found), spqr_send(initiator, entropy)[1]


_RESPONDER, _SPQR = _spqr_ends()
_RESTORABLE: Final = with_fields(
    STORED_SESSION, receiving_chains=(StoredChain(GOOD_KEY, bytes(32), 1, 0),)
)
_SIGNAL: Final = (
    encode_signal_message_body(decode_public_key(GOOD_KEY), 7, 3, bytes(32)) + b"\xa5" * 8
)
_PREKEY: Final = encode_prekey_signal_message(
    registration_id=5,
    one_time_prekey_id=33,
    signed_prekey_id=22,
    base_key=decode_public_key(GOOD_KEY),
    identity_key=decode_public_key(GOOD_KEY),
    message=_SIGNAL,
)
_SIGNAL_4: Final = (
    encode_signal_message_body(
        decode_public_key(GOOD_KEY), 7, 3, bytes(32), VERSION_4, _SPQR, bytes(36)
    )
    + b"\xa5" * 8
)
_PREKEY_4: Final = encode_prekey_signal_message(
    registration_id=5,
    one_time_prekey_id=33,
    signed_prekey_id=22,
    base_key=decode_public_key(GOOD_KEY),
    identity_key=decode_public_key(GOOD_KEY),
    message=_SIGNAL_4,
    version=VERSION_4,
    kyber=KyberPrekeyUse(44, b"\x08" + bytes(1568)),
)
_DISTRIBUTIONS: Final = [unhex(vectors_of(form)["distribution"]) for form in FORMS]
_GROUP_MESSAGES: Final = [unhex(vectors_of(form)["messages"][0]["message"]) for form in FORMS]
_LINK_CODE: Final = LinkCode("whatsapp", decode_public_key(GOOD_KEY), bytes(32))
_KEM_KEY: Final = kem_key_pair_from_seed(bytes(64)).public


_OTHERS: Final[Mapping[str, Target]] = {
    "signal-message": _decoder(
        decode_signal_message,
        RemoteError,
        _SIGNAL,
        *(_SIGNAL.replace(GOOD_KEY, key) for key in BAD_KEYS.values()),
    ),
    "prekey-message": _decoder(_prekey_message, RemoteError, _PREKEY, _PREKEY + b"\x30\x01"),
    "signal-message-4": _decoder(
        lambda data: decode_signal_message(data, (VERSION_4,)),
        RemoteError,
        _SIGNAL_4,
        _SIGNAL,
        b"\x54" + _SIGNAL_4[1:],
    ),
    "prekey-message-4": _decoder(
        _prekey_message_4, RemoteError, _PREKEY_4, _PREKEY, _PREKEY_4 + b"\x42\x01\x08"
    ),
    "distribution-uuid": _decoder(
        lambda data: decode_distribution(SenderKeyForm.UUID, data), RemoteError, *_DISTRIBUTIONS
    ),
    "distribution-key-id": _decoder(
        lambda data: decode_distribution(SenderKeyForm.KEY_ID, data),
        RemoteError,
        *_DISTRIBUTIONS[::-1],
    ),
    "sender-key-message-uuid": _decoder(
        lambda data: decode_sender_key_message(SenderKeyForm.UUID, data),
        RemoteError,
        *_GROUP_MESSAGES,
    ),
    "sender-key-message-key-id": _decoder(
        lambda data: decode_sender_key_message(SenderKeyForm.KEY_ID, data),
        RemoteError,
        *_GROUP_MESSAGES[::-1],
    ),
    "spqr-message": _decoder(
        _spqr, RemoteError, _SPQR, b"\x01\x01\x02\x00", b"\x01\x01\x00\x04", b"\0\x01\x01\x07"
    ),
    "kem-public-key": _decoder(
        decode_kem_public_key, RemoteError, _KEM_KEY, b"\x08" + b"\xff" * 1568, _KEM_KEY[:-1]
    ),
    "padded-payload": _decoder(decode_payload, RemoteError, encode_payload(PAYLOAD)),
    "capabilities": _decoder(
        _capabilities,
        DecodeError,
        encode_capabilities({10, 32, 2**32 - 1}),
        b"\x08\x01\x12\x01\x23",
    ),
    "link-code-text": _decoder(
        lambda data: LinkCode.from_text(data.decode("utf-8", "surrogateescape")),
        RemoteError,
        _LINK_CODE.to_text().encode(),
        _LINK_CODE.to_text().encode() + b"=",
        _LINK_CODE.to_text()[:-1].encode() + b"_",
        b"e2x1:" + b"A" * 251,
        b"e2x2:",
    ),
    "public-key": _decoder(decode_public_key, RemoteError, GOOD_KEY, *BAD_KEYS.values()),
    "fingerprints": _decoder(
        decode_fingerprints, RemoteError, encode_fingerprints(2, bytes(32), b"\x01" * 32)
    ),
    "scanned-safety-number": _decoder(
        _scanned,
        RemoteError,
        encode_fingerprints(2, b"\x01" * 32, bytes(32)),
        encode_fingerprints(3, bytes(32), bytes(32)),
    ),
    "address": _decoder(
        lambda data: Address.parse(data.decode("utf-8", "surrogateescape")),
        InvalidArgument,
        b"whatsapp:ana",
        b"signal-2:budi_+-9.127",
        "whatsapp:ana.\u0661".encode(),
    ),
    "sealing-header": _decoder(
        lambda data: open_sealing(_STORE_KEY, data, SYSTEM_ENTROPY),
        StoreError,
        create_sealing(_STORE_KEY, SeededEntropy("header")),
        b"\0",
        b"\2" + bytes(116),
    ),
    "restored-session": _decoder(
        _session, StoreError, _RESTORABLE.encode(), STORED_SESSION.encode()
    ),
}

_OURS: Final[Mapping[str, Format]] = {
    f"format-{name.replace(' ', '-')}": form for name, form in FORMATS.items()
}

DECODERS: Final[Mapping[str, Target]] = {
    **{name: _one_encoding(form) for name, form in _OURS.items()},
    **_OTHERS,
}

DECODE: Final[Mapping[str, Callable[[bytes], str]]] = {
    **{name: _decode_once(form) for name, form in _OURS.items()},
    **{name: target.run for name, target in _OTHERS.items()},
}
"""The same decoders, each called once with the bytes as they are."""


def _bodies(data: bytes) -> str:
    """Bodies of calls over a network: any bytes into the decoder of each."""
    return ",".join(outcome(partial(decode, data), DecodeError) for decode, _ in BODIES.values())


SERVICE: Final[Mapping[str, Target]] = {
    "service-bodies": Target(_bodies, lambda: [example for _, example in BODIES.values()]),
}
"""Bodies of calls ignore what they do not know, so that one of them may come through as another."""
