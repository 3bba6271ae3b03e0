# SPDX-License-Identifier: Apache-2.0
"""The floor of version 4 computes what the library computes."""

from contextlib import ExitStack
from itertools import count, islice, pairwise
from os import urandom

import pytest

from benchmarks import floor, floor_v4
from benchmarks.contestants.floor_makers import DeviceKeys
from benchmarks.contestants.floor_makers_v4 import (
    MAKERS,
    KyberDeviceKeys,
    first_message,
    read_first_message,
)
from benchmarks.contestants.protocol import KyberParty, ProtocolEnd, connect_v4
from benchmarks.job import Job
from benchmarks.rows import ROWS
from e2ecross.crypto import spqr_kdf
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.kem import (
    decapsulate,
    decode_kem_public_key,
    encapsulate,
    generate_kem_key_pair,
    verify_split_vector,
)
from e2ecross.crypto.keys import KeyPair, decode_public_key
from e2ecross.crypto.spqr_kdf import AuthenticatorKey
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.session import Session
from e2ecross.protocol.spqr.authenticator import Authenticator, verify_header
from e2ecross.protocol.spqr.epoch_chains import Link
from e2ecross.protocol.spqr.state import SpqrState
from e2ecross.wire.signal_message import VERSION_4, decode_signal_message
from e2ecross.wire.spqr_message import decode_spqr_message

SIZES = (0, 1, 15, 16, 17, 100, 4096)
EPOCHS = (1, 2, 300)
FRESH = urandom(32)


def ends(turns: int = 0) -> tuple[ProtocolEnd, ProtocolEnd]:
    with ExitStack() as cleanup:
        sender, receiver = connect_v4(Job("encrypt_v4", {}, 1, 1, 0), cleanup)
    for _ in range(turns):
        receiver.decrypt(sender.encrypt(b"ping"))
        sender.decrypt(receiver.encrypt(b"pong"))
    return sender, receiver


def sent_by(end: ProtocolEnd) -> bytes:
    return end.session.local_identity_key + end.session.remote_identity_key


def spqr_of(session: Session) -> SpqrState:
    assert session.ratchet.spqr is not None
    return session.ratchet.spqr


def sending_of(session: Session) -> tuple[SendingChain, Link]:
    """Both chains that the next message takes a step along."""
    state = spqr_of(session)
    epochs = state.chains.epochs
    assert isinstance(session.ratchet.sending, SendingChain)
    return session.ratchet.sending, epochs[state.machine.epoch - 1 - epochs[0].epoch].sending


@pytest.mark.parametrize("turns", [0, 1, 14, 40])
@pytest.mark.parametrize("size", SIZES)
def test_it_encrypts_to_the_same_bytes(size: int, turns: int) -> None:
    end, _ = ends(turns)
    end.encrypt(b"so that the chain is there")
    chain, pq_chain = sending_of(end.session)
    message_key, next_chain_key = floor.chain_keys(chain.chain_key)
    next_link, pq_key = floor_v4.link(pq_chain.key, pq_chain.counter + 1)
    plaintext = (bytes(range(256)) * 16)[:size]
    counters = chain.message_number, end.session.ratchet.previous_counter
    ad, ratchet_key = sent_by(end), chain.ratchet_key_pair.public
    sent = end.encrypt(plaintext)
    said = decode_signal_message(sent, (VERSION_4,)).pq_ratchet
    spqr = decode_spqr_message(said)
    pq_ratchet = floor_v4.pq_message(*spqr)
    assert pq_ratchet == said
    assert spqr.key_index == pq_chain.counter + 1
    keys = message_key, pq_key
    assert floor_v4.encrypt(keys, pq_ratchet, ratchet_key, counters, ad, plaintext) == sent
    assert floor_v4.decrypt(keys, ad, sent) == plaintext
    advanced, pq_advanced = sending_of(end.session)
    assert advanced.chain_key == next_chain_key
    assert pq_advanced.key == next_link


def test_it_refuses_a_wrong_mac() -> None:
    keys = FRESH, bytes(32)
    message = floor_v4.encrypt(keys, b"\x01\x01\x01\x00", floor.key_pair()[1], (0, 0), b"", b"halo")
    assert floor_v4.decrypt(keys, b"", message) == b"halo"
    with pytest.raises(ValueError, match="MAC"):
        floor_v4.decrypt(keys, b"", message[:-1] + bytes((message[-1] ^ 1,)))


def test_it_starts_sessions_that_the_library_accepts() -> None:
    budi, ours = KyberParty("budi"), DeviceKeys()
    theirs = KyberDeviceKeys()
    theirs.identity, theirs.signed = pair_of(budi.identity), pair_of(budi.signed)
    theirs.one_time, theirs.signature = pair_of(budi.one_time), budi.bundle.signed_prekey_signature
    assert budi.bundle.kyber_prekey is not None
    assert budi.bundle.kyber_prekey_signature is not None
    theirs.kyber_public = budi.bundle.kyber_prekey
    theirs.kyber_signature = budi.bundle.kyber_prekey_signature
    data = first_message(ours, theirs, b"halo")
    session, plaintext = budi.accept(data)
    assert plaintext == b"halo"
    assert session.version == VERSION_4


@pytest.mark.parametrize("epoch", EPOCHS)
def test_its_header_is_one_that_the_library_takes(epoch: int) -> None:
    auth = Authenticator(*(AuthenticatorKey(urandom(32)) for _ in range(2)))
    _, public, whole = floor_v4.kem_header(auth.mac_key, epoch)
    verify_header(auth, epoch, whole[:64], whole[64:])
    verify_split_vector(whole[:64], public[:1152])


def test_it_accepts_sessions_that_the_library_starts() -> None:
    ana, theirs = KyberParty("ana"), KyberDeviceKeys()
    budi = KyberParty("budi")
    theirs.identity, theirs.signed = pair_of(budi.identity), pair_of(budi.signed)
    theirs.one_time = pair_of(budi.one_time)
    assert budi.prekeys.kyber_prekey is not None
    theirs.kyber = budi.prekeys.kyber_prekey.private
    data = ProtocolEnd(ana.start(budi.bundle)).encrypt(b"halo")
    read_first_message(theirs, data)  # which raises if the MAC is wrong
    with pytest.raises(ValueError, match="MAC"):
        read_first_message(theirs, data[:60] + bytes((data[60] ^ 1,)) + data[61:])


def test_its_wrapper_is_that_of_the_library() -> None:
    data = ProtocolEnd(KyberParty("ana").start(KyberParty("budi").bundle)).encrypt(b"halo")
    base_key, identity_key, ciphertext, message = floor_v4.unwrap(data)
    assert (
        floor_v4.wrap((1, 2, 1234), base_key, identity_key, floor_v4.Kyber(3, ciphertext), message)
        == data
    )


def test_secrets_of_kyber_prekeys_agree_both_ways() -> None:
    private, public = floor_v4.kyber_key_pair()
    secret, ciphertext = encapsulate(decode_kem_public_key(public), SYSTEM_ENTROPY)
    assert floor_v4.decapsulate(private, ciphertext) == secret
    pair = generate_kem_key_pair(SYSTEM_ENTROPY)
    secret, ciphertext = floor_v4.encapsulate(pair.public)
    assert decapsulate(pair, ciphertext) == secret


def test_its_first_keys_are_those_of_the_library() -> None:
    agreements, kem_secret = urandom(128), urandom(32)
    root_key, _, auth_key = spqr_kdf.derive_pqxdh_keys(agreements, kem_secret)
    assert floor_v4.first_keys(agreements, kem_secret) == (root_key, auth_key)
    auth, chains = floor_v4.start_ratchet(auth_key)
    no_key = AuthenticatorKey(bytes(32))
    assert auth == spqr_kdf.derive_authenticator_keys(no_key, auth_key, 1)
    assert chains == spqr_kdf.derive_first_chains(auth_key)


@pytest.mark.parametrize("epoch", EPOCHS)
def test_its_keys_of_an_epoch_are_those_of_the_library(epoch: int) -> None:
    kem_secret, root, ciphertext = urandom(32), urandom(32), urandom(1088)
    secret = spqr_kdf.derive_epoch_secret(kem_secret, epoch)
    assert floor_v4.epoch_secret(kem_secret, epoch) == secret
    auth_root = AuthenticatorKey(root)
    auth = spqr_kdf.derive_authenticator_keys(auth_root, secret, epoch)
    assert floor_v4.next_authenticator(root, secret, epoch) == auth
    tag = spqr_kdf.authenticate_ciphertext(auth[1], epoch, ciphertext)
    assert floor_v4.ciphertext_mac(auth[1], epoch, ciphertext) == tag
    chains = spqr_kdf.derive_epoch_chains(spqr_kdf.ChainRoot(root), secret)
    assert floor_v4.next_chains(root, secret) == chains


def test_an_exchange_comes_to_an_end() -> None:
    roots = floor_v4.exchange((urandom(32), urandom(32)), urandom(32), 1)
    assert list(map(len, roots)) == [32, 32]


def test_an_epoch_passes_in_every_block_of_the_ping_pong() -> None:
    (row,) = [row for row in ROWS if row.name == "v4-ping-pong"]
    sender, receiver = ends()
    begun: list[int] = []  # the number of the first message of each epoch
    for number in islice(count(2), 4 * row.parameters["count"]):
        epoch = spqr_of(sender.session).machine.epoch
        receiver.decrypt(sender.encrypt(b"halo"))
        sender, receiver = receiver, sender
        if epoch > len(begun) + 1:
            begun.append(number)
    assert {after - before for before, after in pairwise(begun)} == {row.parameters["count"]}


def test_chunks_beyond_the_data_are_sent_where_a_row_says_so() -> None:
    (row,) = [row for row in ROWS if row.name == "v4-encrypt-chunk"]
    _, end = ends(row.parameters["turns"])
    job = row.job(is_quick=False)
    for _ in range(job.warmup):
        message = end.encrypt(b"halo")
    spqr = decode_spqr_message(decode_signal_message(message, (VERSION_4,)).pq_ratchet)
    assert spqr.chunk
    assert 32 * spqr.chunk_index >= len(spqr_of(end.session).machine.held.outgoing)


@pytest.mark.parametrize("operation", [*MAKERS])
def test_every_maker_makes_steps_that_run(operation: str) -> None:
    with ExitStack() as cleanup:
        step = MAKERS[operation](Job(operation, {"bytes": 100}, 2, 1, 1), cleanup)
        for _ in range(3):
            step()


def pair_of(key_pair: KeyPair) -> tuple[bytes, bytes]:
    return key_pair.private, decode_public_key(key_pair.public)
