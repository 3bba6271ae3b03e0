# SPDX-License-Identifier: Apache-2.0
"""The attacker's tools for version 4: its messages, read and written by who has keys."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from e2ecross import Envelope, MessageKind, PreKeyBundle
from e2ecross.crypto.cipher import cbc_encrypt, compute_mac
from e2ecross.crypto.kdf import derive_message_keys
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.spqr_kdf import SpqrKey
from e2ecross.protocol.message_chain import next_sending_key
from e2ecross.protocol.session import Session
from e2ecross.protocol.spqr.state import SpqrState, spqr_send
from e2ecross.state.session_store import load_sessions
from e2ecross.stores import Table
from e2ecross.wire.signal_message import VERSION_4, encode_signal_message_body
from e2ecross.wire.spqr_message import SpqrMessage, decode_spqr_message, encode_spqr_message
from tests.attacks.support import (
    Person,
    edit_wrapper,
    inner_message,
    signal_fields,
    with_ciphertext,
)
from tests.support import protobuf
from tests.support.entropy import SeededEntropy
from tests.support.parties import after_answer, message_keys_for, sending_chain

__all__ = [
    "MESSAGE",
    "converse",
    "current",
    "edit_message",
    "forge",
    "kyber_prekeys",
    "pq_bundle",
    "pq_message",
    "seal",
    "spqr_of",
]

MESSAGE: Final[Mapping[str, int]] = {
    "ratchet_key": 1,
    "counter": 2,
    "previous_counter": 3,
    "ciphertext": 4,
    "pq_ratchet": 5,
    "addresses": 6,
}
"""Field numbers of a Signal message."""


def pq_bundle(
    person: Person, *, one_time: bool = True, one_time_kyber: bool = True
) -> PreKeyBundle:
    """What a back end hands out of somebody: either kind of one-time prekey, or not."""
    if one_time == one_time_kyber:
        return person.bundle(one_time=one_time, kyber=True)
    bundle = person.bundle(one_time=True, kyber=True)
    if one_time_kyber:
        return replace(bundle, one_time_prekey_id=None, one_time_prekey=None)
    last_resort = person.published.last_resort_kyber_prekey
    assert last_resort is not None
    return replace(
        bundle,
        kyber_prekey_id=last_resort.id,
        kyber_prekey=last_resort.public_key,
        kyber_prekey_signature=last_resort.signature,
    )


def kyber_prekeys(person: Person) -> set[int]:
    """Ids of the Kyber prekeys that the store still holds, the last-resort ones included."""
    with person.store.transaction() as tx:
        return {int.from_bytes(row) for _, row, _ in tx.scan(Table.KYBER_PREKEYS)}


def current(person: Person, peer: Person) -> Session:
    """The session that somebody sends with."""
    with person.store.transaction() as tx:
        session: Session | None = load_sessions(tx, peer.address).current
    assert session is not None
    return session


def spqr_of(session: Session) -> SpqrState:
    """The post-quantum ratchet of a session that has one."""
    assert session.ratchet.spqr is not None
    return session.ratchet.spqr


def converse(left: Person, right: Person, rounds: int) -> None:
    """Take turns."""
    for number in range(rounds):
        assert right.read(left.send(right, f"{number}")) == f"{number}"
        assert left.read(right.send(left, f"{number}!")) == f"{number}!"


def pq_message(envelope: Envelope) -> SpqrMessage:
    """What a message says of the post-quantum ratchet."""
    fields, _ = signal_fields(envelope)
    data = dict(fields)[MESSAGE["pq_ratchet"]]
    assert isinstance(data, bytes)
    return decode_spqr_message(data)


def forge(
    victim: Session,
    ratchet_key: PublicKey,
    counter: int,
    pq_ratchet: bytes | None,
    plaintext: bytes,
    *,
    pq_key: SpqrKey | None = None,
    addresses: bytes | None = None,
) -> bytes:
    """Write a message that `victim` reads, as somebody does who has all that X25519 protects.

    Args:
        victim: the session that is to read it; it gives the keys of the Double Ratchet.
        ratchet_key: the sender's, 33 bytes; a known one or a new one.
        counter: the message's number in its chain.
        pq_ratchet: what it says of the post-quantum ratchet, or None to leave it out.
        plaintext: what to encrypt.
        pq_key: the key that is mixed in, if the attacker has it.
        addresses: who sends to whom, or None to leave it out.
    """
    keys = message_keys_for(victim, ratchet_key, counter, pq_key)
    fields: list[protobuf.Field] = [
        (MESSAGE["ratchet_key"], ratchet_key),
        (MESSAGE["counter"], counter),
        (MESSAGE["previous_counter"], 0),
        (MESSAGE["ciphertext"], cbc_encrypt(keys.cipher_key, keys.iv, plaintext)),
    ]
    if pq_ratchet is not None:
        fields.append((MESSAGE["pq_ratchet"], pq_ratchet))
    if addresses is not None:
        fields.append((MESSAGE["addresses"], addresses))
    body = VERSION_4.first_byte + protobuf.message(fields)
    associated_data = victim.remote_identity_key + victim.local_identity_key
    return body + compute_mac(keys.mac_key, associated_data, body)


def seal(
    sender: Session, plaintext: bytes, change: Callable[[SpqrMessage], SpqrMessage]
) -> tuple[bytes, SpqrMessage]:
    """Write the next message of a stolen session, with something else for the post-quantum ratchet.

    Returns:
        The message, and what it genuinely would have said of that ratchet.
    """
    if sender.ratchet.sending is None:
        sender = after_answer(sender, SeededEntropy("thief"))
    ratchet = sender.ratchet
    _, genuine, pq_key = spqr_send(ratchet.spqr, SeededEntropy("thief"))
    chain = sending_chain(sender)
    _, message_key = next_sending_key(chain)
    keys = derive_message_keys(message_key, pq_key)
    body = encode_signal_message_body(
        chain.ratchet_key_pair.public,
        chain.message_number,
        ratchet.previous_counter,
        cbc_encrypt(keys.cipher_key, keys.iv, plaintext),
        VERSION_4,
        encode_spqr_message(change(decode_spqr_message(genuine))),
    )
    associated_data = sender.local_identity_key + sender.remote_identity_key
    return body + compute_mac(keys.mac_key, associated_data, body), decode_spqr_message(genuine)


def edit_message(envelope: Envelope, **edits: int | bytes | None) -> Envelope:
    """The envelope with some fields of the Signal message changed, or (None) left out."""
    fields, mac = signal_fields(envelope)
    changed = dict(fields)
    for name, value in edits.items():
        changed.pop(MESSAGE[name], None)
        if value is not None:
            changed[MESSAGE[name]] = value
    message = inner_message(envelope)[:1] + protobuf.message(sorted(changed.items())) + mac
    if envelope.kind is MessageKind.PREKEY:
        return edit_wrapper(envelope, message=message)
    return with_ciphertext(envelope, message)
