# SPDX-License-Identifier: Apache-2.0
"""Targets that get past the MAC: the bytes are what a peer encrypts, who has all the keys.

Here a message that the fuzzer makes up is authentic, and what lies behind authentication is what
is tested: a peer whose app is wrong, or who is hostile.
"""

import contextlib
from collections.abc import Mapping
from typing import Final

from e2ecross import Envelope, MessageKind
from e2ecross.crypto.cipher import cbc_encrypt, compute_mac
from e2ecross.crypto.kdf import MessageKeys
from e2ecross.crypto.keys import KeyPair, PublicKey, generate_key_pair
from e2ecross.errors import RemoteError
from e2ecross.protocol.ratchet import ratchet_encrypt
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.state.session_store import load_sessions
from e2ecross.wire.content import encode_payload
from e2ecross.wire.padding import pad, unpad
from e2ecross.wire.signal_message import encode_prekey_signal_message
from tests.attacks.support import ANA, BUDI, NOW_MS, Person, payload_for
from tests.fuzz.doors import attempt
from tests.fuzz.target import Source, Target
from tests.fuzz.world import load, scene
from tests.support import protobuf
from tests.support.entropy import NO_ENTROPY, SeededEntropy
from tests.support.parties import message_keys_for

__all__ = ["FORGERIES"]

_MAX_WALK: Final = 300  # further ahead only costs time, and there are tests of the limits
_IDS: Final = bytes(16)
_UNKNOWN: Final = MessageKeys(bytes(32), bytes(32), bytes(16))
_NEW_KEYS: Final = tuple(generate_key_pair(SeededEntropy(f"ratchet {n}")) for n in range(3))
_FIELDS: Final = 5


def _victim() -> tuple[Person, Session]:
    victim = load(scene().budi, scene().budi_rows)
    with victim.store.transaction() as tx:
        current = load_sessions(tx, ANA).current
    assert current is not None
    return victim, current


def _seal(session: Session, key: PublicKey, source: Source, plaintext: bytes) -> bytes:
    """Encrypt for the session that reads it, as a peer would who is free in everything else."""
    number = source.number(2) % _MAX_WALK
    version = source.number() or 0x33
    keys = _UNKNOWN
    with contextlib.suppress(RemoteError):  # a message whose key is used up: nobody has it
        keys = message_keys_for(session, key, number)
    ciphertext = cbc_encrypt(keys.cipher_key, keys.iv, plaintext)
    items: list[protobuf.Field] = [(1, key), (2, number), (3, source.number(4)), (4, ciphertext)]
    body = bytes((version,)) + protobuf.message(_disarranged(items, source))
    associated_data = session.remote_identity_key + session.local_identity_key
    return body + compute_mac(keys.mac_key, associated_data, body)


def _disarranged(items: list[protobuf.Field], source: Source) -> list[protobuf.Field]:
    """Leave out, repeat, or add fields, as the source says; mostly nothing."""
    for _ in range(source.below(4)):
        choice, place = source.below(4), source.below(len(items))
        if choice == 0:
            items.append(items[place])
        elif choice == 1:
            items.insert(place, (source.number() + 1, source.number(9)))
        elif choice == 2:
            items.append((source.number() + 1, source.take(8)))
        elif len(items) > 1:
            del items[place]
    return items


def _payload(data: bytes) -> str:
    """Any plaintext, in a message of a session."""
    victim, session = _victim()
    source = Source(data)
    padded, new = source.below(2), source.below(2)
    key = _NEW_KEYS[0].public if new else session.ratchet.receiving[-1].ratchet_key
    # Past the message that was skipped, and those that were read.
    header = Source(source.take(2) + bytes(6))
    rest = source.rest()
    plaintext = rest if padded else pad(rest)
    message = _seal(session, key, header, plaintext)
    envelope = Envelope(_IDS, ANA, BUDI, MessageKind.SIGNAL, message)
    return attempt(victim, lambda: victim.device.decrypt(envelope), RemoteError)


def _header(data: bytes) -> str:
    """Any header, under a MAC that is right; several in a row."""
    victim, session = _victim()
    source = Source(data)
    came = "nothing"
    for _ in range(1 + source.below(4)):
        known = [chain.ratchet_key for chain in session.ratchet.receiving]
        # Who has just been read under a new key has told none that yet another could answer.
        new = [] if session.ratchet.sending is None else [pair.public for pair in _NEW_KEYS]
        keys = [*known, *new]
        message = _seal(session, keys[source.below(len(keys))], source, b"plaintext")
        came = attempt(
            victim,
            lambda message=message: victim.device.decrypt_raw(ANA, MessageKind.SIGNAL, message),  # type: ignore[misc]
            RemoteError,
        )
        with victim.store.transaction() as tx:
            record = load_sessions(tx, ANA)
        session = record.current or session
    return came


def _first(data: bytes) -> str:
    """Any wrapper, and any message inside, that fit each other."""
    victim = load(scene().budi, scene().budi_rows)
    source = Source(data)
    bundle = scene().bundles[BUDI]
    name = source.below(3)
    mallory: KeyPair = generate_key_pair(SeededEntropy(f"mallory {name}"))
    sender = (ANA, scene().toko.address)[source.below(2)]
    if source.below(2):
        bundle = Person.bundle(scene().budi, one_time=False)
    session = initiate_session(
        mallory, verify_bundle(bundle), SeededEntropy(f"base {name}"), NOW_MS
    )
    inner = _as_initiator(session, source)
    prekeys = (bundle.one_time_prekey_id, None, 0, source.number(4))
    wrapper = encode_prekey_signal_message(
        registration_id=1 + source.below(2),
        one_time_prekey_id=prekeys[source.below(4)],
        signed_prekey_id=bundle.signed_prekey_id + source.below(2),
        base_key=session.base_key,
        identity_key=session.local_identity_key,
        message=inner,
    )
    items = _disarranged(protobuf.fields(wrapper[1:]), source)
    data = wrapper[:1] + protobuf.message(items)
    if source.below(2):
        return attempt(
            victim,
            lambda: victim.device.decrypt_raw(sender, MessageKind.PREKEY, data),
            RemoteError,
        )
    if not data or len(data) > 100_864:
        return "nothing"
    envelope = Envelope(_IDS, sender, BUDI, MessageKind.PREKEY, data)
    return attempt(victim, lambda: victim.device.decrypt(envelope), RemoteError)


def _as_initiator(session: Session, source: Source) -> bytes:
    """A message of the initiator's, with a payload that is right or not."""
    state = session.ratchet
    sender = (ANA, scene().toko.address)[source.below(2)]
    plaintext = encode_payload(payload_for(sender, BUDI))
    if source.below(2):
        plaintext = pad(source.take(source.below(64)))
    for _ in range(source.below(3)):
        state, _ = ratchet_encrypt(state, b"lost", bytes(66), NO_ENTROPY)
    associated_data = session.local_identity_key + session.remote_identity_key
    return ratchet_encrypt(state, plaintext, associated_data, NO_ENTROPY)[1]


def _payload_seeds() -> list[bytes]:
    right = unpad(encode_payload(payload_for(ANA, BUDI)))
    other = unpad(encode_payload(payload_for(BUDI, ANA)))
    return [
        b"\0\0\0\x09" + right,
        b"\0\1\0\0" + right,
        b"\0\0\0\x09" + other,
        b"\1\0\0\x09" + pad(right),
        b"\0\0\0\x09",
    ]


FORGERIES: Final[Mapping[str, Target]] = {
    "forged-payload": Target(_payload, _payload_seeds, 1024),
    "forged-header": Target(
        _header,
        lambda: [
            b"\0\x05",
            b"\1\3\0\7\x33\0\0\0\0\0\4\0\2\x33",
            b"\0\2\0\1\x34" + bytes(4) + b"\2\1\1\7",
        ],
        128,
    ),
    "forged-first-message": Target(
        _first,
        lambda: [b"\0\1\0\1", b"\1\0\1\0\0\0", b"\2\1\1\1\1\5hello\2", bytes(32) + b"\1"],
        256,
    ),
}
