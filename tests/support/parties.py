# SPDX-License-Identifier: Apache-2.0
"""Two people with sessions but without a store: the protocol layer, driven as a device drives it.

alice, bob = Party("alice"), Party("bob")
alice.start(bob)
assert bob.receive(alice.send(b"halo")) == b"halo"
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.cipher import cbc_encrypt, compute_mac
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import MessageKey, MessageKeys, derive_message_keys
from e2ecross.crypto.kem import generate_kem_key_pair
from e2ecross.crypto.keys import KeyPair, PublicKey, decode_public_key, generate_key_pair
from e2ecross.crypto.spqr_kdf import SpqrKey
from e2ecross.crypto.xeddsa import sign
from e2ecross.errors import DuplicateMessage, UnknownPrekey
from e2ecross.protocol.message_chain import ReceivingChain, SendingChain, find_message_key
from e2ecross.protocol.ratchet import RatchetState, find_receiving_chain
from e2ecross.protocol.root_chain import advance_root_chain
from e2ecross.protocol.session import Session, with_spqr
from e2ecross.protocol.session_reading import (
    READING,
    Opened,
    open_first_message,
    open_message,
    open_repeated_first_message,
)
from e2ecross.protocol.session_record import (
    NO_SESSIONS,
    SessionRecord,
    add_initiated_session,
    find_session,
    prepare_to_send,
    seal_message,
)
from e2ecross.protocol.session_start import OwnPrekeys, initiate_session, respond_to_session
from e2ecross.protocol.session_storage import (
    session_from_record,
    session_to_record,
    with_all_buckets,
)
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.session_records import (
    SessionListRecord,
    StoredSession,
    decode_skipped_keys,
    encode_skipped_keys,
)
from e2ecross.wire.signal_message import (
    VERSIONS,
    PreKeySignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
)
from tests.support.entropy import SeededEntropy
from tests.support.protobuf import Field
from tests.support.protobuf import message as encode_fields
from tests.support.values import with_fields

__all__ = [
    "NOW_MS",
    "SIGNED_PREKEY_ID",
    "Party",
    "Rows",
    "Sealed",
    "SessionRows",
    "inner_message",
    "load_record",
    "load_session",
    "message_keys_for",
    "save_record",
    "save_session",
    "with_ratchet",
    "write_message",
]

Sealed = tuple[MessageKind, bytes]
"""What goes over the network."""


class SessionRows(NamedTuple):
    """A session at rest: its record, and its skipped keys by ratchet key and bucket number."""

    session: bytes
    skipped: Mapping[tuple[bytes, int], bytes]


class Rows(NamedTuple):
    """A session record at rest: the list of sessions, and each of them in its order."""

    listing: bytes
    sessions: tuple[SessionRows, ...]


NOW_MS = 1_700_000_000_000
SIGNED_PREKEY_ID = 22
FIRST_ONE_TIME_PREKEY_ID = 33
KYBER_PREKEY_ID = 11


class Party:
    """An identity, its prekeys, and its sessions with one peer; what a device does, in memory."""

    def __init__(
        self, name: str, entropy: EntropySource | None = None, *, pq: bool = False
    ) -> None:
        """Draw all keys from entropy seeded by the name, unless a source is given.

        With `pq` its bundles hold a Kyber prekey, and sessions with it are of version 4.
        """
        self.name = name
        self.entropy: EntropySource = SeededEntropy(name) if entropy is None else entropy
        self.address = Address("whatsapp", name)
        self.identity = generate_key_pair(self.entropy)
        self.signed_prekey = generate_key_pair(self.entropy)
        self.signature = sign(self.identity, self.signed_prekey.public, self.entropy)
        self.registration_id = 1 + len(name)
        self.one_time_prekeys: dict[int, KeyPair] = {}
        self.record: SessionRecord = NO_SESSIONS
        self.accepted: PublicKey | None = None
        self.seen_base_keys: set[bytes] = set()
        self._next_prekey_id = FIRST_ONE_TIME_PREKEY_ID
        self.kyber = generate_kem_key_pair(self.entropy) if pq else None
        self.require_spqr = True
        self.runs_spqr = True  # else it is as the releases of version 4 before that ratchet
        self.reading = READING

    def bundle(self, *, one_time: bool = True, pq: bool = True) -> PreKeyBundle:
        """Return a bundle, with a fresh one-time prekey unless told otherwise.

        Without `pq` it has no Kyber prekey in any case: a session with it is of version 3.
        """
        bundle = PreKeyBundle(
            address=self.address,
            registration_id=self.registration_id,
            identity_key=self.identity.public,
            signed_prekey_id=SIGNED_PREKEY_ID,
            signed_prekey=self.signed_prekey.public,
            signed_prekey_signature=self.signature,
        )
        if self.kyber is not None and pq:
            bundle = replace(
                bundle,
                kyber_prekey_id=KYBER_PREKEY_ID,
                kyber_prekey=self.kyber.public,
                kyber_prekey_signature=sign(self.identity, self.kyber.public, self.entropy),
            )
        if not one_time:
            return bundle
        number = self._next_prekey_id
        self._next_prekey_id += 1
        self.one_time_prekeys[number] = generate_key_pair(self.entropy)
        return replace(
            bundle,
            one_time_prekey_id=number,
            one_time_prekey=self.one_time_prekeys[number].public,
        )

    def start(self, peer: "Party", *, one_time: bool = True, pq: bool = True) -> Session:
        """Start a session with a peer; nothing is sent yet. For `pq` see `bundle`."""
        bundle = verify_bundle(peer.bundle(one_time=one_time, pq=pq))
        session = initiate_session(
            self.identity, bundle, self.entropy, NOW_MS, require_spqr=self.require_spqr
        )
        session = session if self.runs_spqr else with_spqr(session, None)
        self.accepted = session.remote_identity_key
        self.record = add_initiated_session(self.record, session)
        return session

    def send(self, plaintext: bytes) -> Sealed:
        """Encrypt with the current session."""
        if self.accepted is not None:
            self.record = prepare_to_send(self.record, self.accepted)
        self.record, kind, data = seal_message(
            self.record, plaintext, self.registration_id, self.entropy
        )
        return kind, data

    def receive(self, sealed: Sealed) -> bytes:
        """Decrypt, and keep what follows from it only then."""
        kind, data = sealed
        if kind is MessageKind.PREKEY:
            return self._receive_prekey(decode_prekey_signal_message(data, VERSIONS))
        message = decode_signal_message(data, VERSIONS)
        accepted = self.accepted or self.identity.public  # without a peer: a key no session has
        opened = open_message(self.record, message, accepted, self.reading)
        self.record = opened.record
        return opened.plaintext

    def respond(self, message: PreKeySignalMessage) -> Session:
        """Make the session that a first message asks for; it is not kept."""
        if message.signed_prekey_id != SIGNED_PREKEY_ID:
            raise UnknownPrekey("no such signed prekey")
        one_time = None
        if message.one_time_prekey_id is not None:
            one_time = self.one_time_prekeys.get(message.one_time_prekey_id)
            if one_time is None:
                raise UnknownPrekey("no such one-time prekey")
        kyber = None if message.kyber is None else self.kyber
        prekeys = OwnPrekeys(self.signed_prekey, one_time, kyber)
        session = respond_to_session(
            self.identity, prekeys, message, require_spqr=self.require_spqr
        )
        return session if self.runs_spqr else with_spqr(session, None)

    def _receive_prekey(self, message: PreKeySignalMessage) -> bytes:
        known = find_session(self.record, message.base_key)
        if known is not None:
            opened = open_repeated_first_message(
                self.record,
                known,
                message,
                self.accepted or message.identity_key,
                self.reading,
            )
            return self._keep(opened)
        if message.base_key in self.seen_base_keys:
            raise DuplicateMessage("a session of this base key was forgotten")
        session = self.respond(message)
        opened = open_first_message(
            self.record,
            session,
            message.message,
            self.accepted or message.identity_key,
            self.reading,
        )
        if message.one_time_prekey_id is not None:
            del self.one_time_prekeys[message.one_time_prekey_id]
        self.seen_base_keys.add(message.base_key)
        return self._keep(opened)

    def _keep(self, opened: Opened) -> bytes:
        self.accepted = opened.session.remote_identity_key
        self.record = opened.record
        return opened.plaintext

    @property
    def current(self) -> Session:
        """The session that is sent with."""
        if self.record.current is None:
            raise AssertionError("there is no current session")
        return self.record.current


def with_ratchet(session: Session, ratchet: RatchetState) -> Session:
    """Return the session with another ratchet state, for tests that set up a rare one."""
    return with_fields(session, ratchet=ratchet)


def sending_chain(session: Session) -> SendingChain:
    """Return the chain that a session sends with, which it has begun to."""
    sending = session.ratchet.sending
    if not isinstance(sending, SendingChain):
        raise AssertionError("nothing was sent since the peer has turned")
    return sending


def after_answer(session: Session, entropy: EntropySource) -> Session:
    """Return the session with its half of the turn made, as when it begins to send.

    Only when it has can the peer have a new ratchet key.
    """
    state = session.ratchet
    key_pair = generate_key_pair(entropy)
    root_key, chain_key = advance_root_chain(
        state.root_key, key_pair, state.receiving[-1].ratchet_key
    )
    sending = SendingChain(key_pair, chain_key, 0)
    return with_ratchet(session, with_fields(state, root_key=root_key, sending=sending))


def inner_message(sealed: Sealed) -> bytes:
    """Return the authenticated message inside, complete with its version byte and MAC."""
    kind, data = sealed
    if kind is not MessageKind.PREKEY:
        return data
    message = decode_prekey_signal_message(data, VERSIONS).message
    return message.authenticated + message.mac


def message_keys_for(
    session: Session, ratchet_key: PublicKey, number: int, pq_key: SpqrKey | None = None
) -> MessageKeys:
    """Return the keys with which `session` reads that message, however far ahead it is.

    So a test can write any message under a valid MAC, as a peer with strange habits could. In
    version 4 the message's key of the post-quantum ratchet (32 bytes) is mixed in.
    """
    state = session.ratchet
    chain = find_receiving_chain(state, ratchet_key)
    if chain is None:
        key_pair = None if state.sending is None else state.sending.ratchet_key_pair
        if key_pair is None:
            raise AssertionError("the peer has heard of no key that it could answer")
        _, chain_key = advance_root_chain(state.root_key, key_pair, ratchet_key)
        chain = ReceivingChain(ratchet_key, chain_key, 0, NO_SKIPPED_KEYS)
    message_key = find_message_key(chain, number, 2**32).message_key
    return derive_message_keys(message_key, pq_key)


def write_message(
    receiver: Session,
    ratchet_key: PublicKey,
    number: int,
    *,
    previous_counter: int | None = 0,
    plaintext: bytes = b"crafted",
    ciphertext: bytes | None = None,
    version: int = 0x33,
    items: Sequence[Field] | None = None,
    mac_version: int | None = None,
) -> bytes:
    """Write a message that `receiver` should find authentic, in whatever form.

    Args:
        receiver: the session that is to read it; gives the keys.
        ratchet_key: the sender's.
        number: the message's number.
        previous_counter: None to leave it out.
        plaintext: what to encrypt, unless a ciphertext is given.
        ciphertext: what to send instead of an honest ciphertext.
        version: the first byte.
        items: the protobuf fields, instead of the usual four.
        mac_version: the first byte that the MAC covers, if another one than is sent.
    """
    keys = message_keys_for(receiver, ratchet_key, number)
    if ciphertext is None:
        ciphertext = cbc_encrypt(keys.cipher_key, keys.iv, plaintext)
    if items is None:
        items = [(1, ratchet_key), (2, number), (3, previous_counter or 0), (4, ciphertext)]
        if previous_counter is None:
            del items[2]
    body = encode_fields(items)
    associated_data = receiver.remote_identity_key + receiver.local_identity_key
    covered = bytes((version if mac_version is None else mac_version,))
    mac = compute_mac(keys.mac_key, associated_data, covered + body)
    return bytes((version,)) + body + mac


def save_session(session: Session) -> SessionRows:
    """Return what a store would hold of a session."""
    return SessionRows(
        session_to_record(session).encode(),
        {
            (chain.ratchet_key, index): encode_skipped_keys(bucket)
            for chain in session.ratchet.receiving
            for index, bucket in chain.skipped.buckets.items()
        },
    )


def load_session(rows: SessionRows) -> Session:
    """Make the session anew from what a store holds."""
    skipped: dict[bytes, dict[int, dict[int, MessageKey]]] = {}
    for (ratchet_key, index), data in rows.skipped.items():
        skipped.setdefault(ratchet_key, {})[index] = decode_skipped_keys(data)
    return with_all_buckets(session_from_record(StoredSession.decode(rows.session)), skipped)


def save_record(record: SessionRecord) -> Rows:
    """Return what a store would hold of a record; equal rows mean equal records."""
    current = () if record.current is None else (record.current,)
    listing = SessionListRecord(
        current=None if record.current is None else record.current.base_key,
        archived=tuple(session.base_key for session in record.archived),
        held=record.held,
        held_count=record.held_count,
    )
    return Rows(listing.encode(), tuple(map(save_session, (*current, *record.archived))))


def load_record(rows: Rows) -> SessionRecord:
    """Make the record anew from what a store holds."""
    listing = SessionListRecord.decode(rows.listing)
    sessions = list(map(load_session, rows.sessions))
    current = None if listing.current is None else sessions.pop(0)
    held = None if listing.held is None else decode_public_key(listing.held)
    return SessionRecord(current, tuple(sessions), held, listing.held_count)
