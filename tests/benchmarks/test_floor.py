# SPDX-License-Identifier: Apache-2.0
"""The floor computes what the library computes: the same bytes, or what the other side takes."""

from contextlib import ExitStack

import pytest
from nacl.exceptions import BadSignatureError

from benchmarks import floor
from benchmarks.contestants.floor_makers import MAKERS
from benchmarks.contestants.protocol import Party, ProtocolEnd, connect
from benchmarks.job import Job
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.keys import decode_public_key
from e2ecross.crypto.xeddsa import sign, verify_signature
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.ratchet import RatchetState
from e2ecross.protocol.root_chain import advance_root_chain
from e2ecross.protocol.safety_number import compute_fingerprint
from e2ecross.wire.signal_message import decode_prekey_signal_message, decode_signal_message

SIZES = (0, 1, 15, 16, 17, 100, 4096)


def ends() -> tuple[ProtocolEnd, ProtocolEnd]:
    with ExitStack() as cleanup:
        return connect(Job("encrypt", {}, 1, 1, 0), cleanup)


def sent_by(end: ProtocolEnd) -> bytes:
    session = end.session
    return session.local_identity_key + session.remote_identity_key


def sending_of(state: RatchetState) -> SendingChain:
    assert isinstance(state.sending, SendingChain)
    return state.sending


def sending_chain_key(state: RatchetState) -> bytes:
    return sending_of(state).chain_key


@pytest.mark.parametrize("size", SIZES)
def test_it_encrypts_to_the_same_bytes(size: int) -> None:
    end, _ = ends()
    end.encrypt(b"so that the counter is not 0")
    state, plaintext = end.session.ratchet, bytes(range(256)) * 16
    message_key, next_chain_key = floor.chain_keys(sending_chain_key(state))
    counters = sending_of(state).message_number, state.previous_counter
    public = sending_of(state).ratchet_key_pair.public
    message = floor.encrypt(message_key, public, counters, sent_by(end), plaintext[:size])
    assert message == end.encrypt(plaintext[:size])
    assert next_chain_key == sending_chain_key(end.session.ratchet)


@pytest.mark.parametrize("size", SIZES)
def test_it_decrypts_what_the_library_encrypts(size: int) -> None:
    end, _ = ends()
    end.encrypt(b"so that the chain is there")
    message_key, _ = floor.chain_keys(sending_chain_key(end.session.ratchet))
    plaintext = bytes(range(256)) * 16
    message = end.encrypt(plaintext[:size])
    assert floor.decrypt(message_key, sent_by(end), message) == plaintext[:size]


def test_it_refuses_a_wrong_mac() -> None:
    end, _ = ends()
    end.encrypt(b"so that the chain is there")
    message_key, _ = floor.chain_keys(sending_chain_key(end.session.ratchet))
    message = end.encrypt(b"halo")
    with pytest.raises(ValueError, match="MAC"):
        floor.decrypt(message_key, sent_by(end), message[:-1] + bytes((message[-1] ^ 1,)))


def test_its_ratchet_step_is_that_of_the_library() -> None:
    end, other = ends()
    state, message = other.session.ratchet, end.encrypt(b"a new chain for the other end")
    ours, theirs = sending_of(state).ratchet_key_pair, decode_public_key(floor.ratchet_key(message))
    agreement = floor.agree(ours.private, theirs)
    assert floor.next_root(state.root_key, agreement) == advance_root_chain(
        state.root_key, ours, theirs
    )


def test_its_ratchet_key_is_that_of_the_message() -> None:
    message = ends()[0].encrypt(b"halo")
    assert floor.ratchet_key(message) == decode_signal_message(message).ratchet_key


def test_it_starts_sessions_that_the_library_accepts() -> None:
    ana, budi = Party("ana"), Party("budi")
    base, ratchet = floor.key_pair(), floor.key_pair()
    bundle = budi.bundle
    assert bundle.one_time_prekey is not None
    floor.verify(bundle.identity_key, bundle.signed_prekey, bundle.signed_prekey_signature)
    root_key = floor.initiate(
        *(ana.identity.private, base[0]),
        *(bundle.identity_key, bundle.signed_prekey, bundle.one_time_prekey),
    )
    _, chain_key = floor.next_root(root_key, floor.agree(ratchet[0], bundle.signed_prekey))
    ad = ana.identity.public + budi.identity.public
    message = floor.encrypt(floor.chain_keys(chain_key)[0], ratchet[1], (0, 0), ad, b"halo")
    _, plaintext = budi.accept(floor.wrap((1, 2, 3), base[1], ana.identity.public, message))
    assert plaintext == b"halo"


def test_it_accepts_sessions_that_the_library_starts() -> None:
    ana, budi = Party("ana"), Party("budi")
    data = ProtocolEnd(ana.start(budi.bundle)).encrypt(b"halo")
    base_key, identity_key, message = floor.unwrap(data)
    first = decode_prekey_signal_message(data)
    assert (base_key, identity_key) == (first.base_key, first.identity_key)
    root_key = floor.respond(
        *(budi.identity.private, budi.signed.private, budi.one_time.private),
        *(identity_key, base_key),
    )
    agreement = floor.agree(budi.signed.private, floor.ratchet_key(message))
    _, chain_key = floor.next_root(root_key, agreement)
    message_key, _ = floor.chain_keys(chain_key)
    ad = ana.identity.public + budi.identity.public
    assert floor.decrypt(message_key, ad, message) == b"halo"


def test_signatures_verify_both_ways() -> None:
    private, public = floor.key_pair()
    verify_signature(decode_public_key(public), b"halo", floor.sign(private, b"halo"))
    party = Party("ana")
    signature = sign(party.identity, b"halo", SYSTEM_ENTROPY)
    floor.verify(party.identity.public, b"halo", signature)
    with pytest.raises(BadSignatureError):
        floor.verify(party.identity.public, b"hola", signature)


def test_its_fingerprint_is_that_of_the_library() -> None:
    key = decode_public_key(floor.key_pair()[1])
    assert floor.fingerprint(b"whatsapp:ana", key) == compute_fingerprint(b"whatsapp:ana", key)


@pytest.mark.parametrize("operation", [name for name in MAKERS if name != "commit"])
def test_every_maker_makes_steps_that_run(operation: str) -> None:
    with ExitStack() as cleanup:
        step = MAKERS[operation](Job(operation, {"bytes": 100}, 2, 1, 1), cleanup)
        for _ in range(3):
            step()
