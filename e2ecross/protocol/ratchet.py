# SPDX-License-Identifier: Apache-2.0
"""The Double Ratchet of one session, and beside it the post-quantum ratchet if there is one.

Rules:
- A transition is a function of values: state in, new state and result out. A failure returns
  nothing, so it can change nothing.
- A finished chain is closed only after the MAC has been verified: a forged message costs one
  agreement and the bounded walk along a chain.
- Our half of a turn, a key pair and its agreement, is made when the first answer is sent. Nobody
  can have used it before: while it is not made, no new ratchet key of the peer is genuine.
- Nothing here knows addresses, identities or envelopes; the associated data comes in as bytes.

Differences from the published text (all are what deployed Signal clients do):
- Headers are not encrypted, the MAC has 8 bytes, and covers the associated data, the version byte
  and the protobuf with header and ciphertext.
- PN is the last message number of the previous chain, not the count of its messages.
- A key of the post-quantum ratchet is the salt from which a message's keys are made.

Source: Double Ratchet (revision 1, 2016-11-20) sections 3 and 5.2.
"""

from typing import Final, NamedTuple

from e2ecross.crypto.cipher import cbc_decrypt, cbc_encrypt, compute_mac, verify_mac
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import RootKey, derive_message_keys
from e2ecross.crypto.keys import PublicKey, generate_key_pair
from e2ecross.crypto.secret import SecretTuple, new_tuple
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    MessageTooOld,
    NoSession,
    TooManySkipped,
)
from e2ecross.protocol.message_chain import (
    FoundKey,
    ReceivingChain,
    SendingChain,
    StoppedSending,
    close_receiving_chain,
    find_message_key,
    next_sending_key,
    use_message_key,
)
from e2ecross.protocol.root_chain import advance_root_chain
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ecross.protocol.spqr.state import SpqrState, find_spqr_key, spqr_send, use_spqr_key
from e2ecross.wire.limits import MAX_RECEIVING_CHAINS, MAX_SKIPPED_KEYS_PER_SESSION
from e2ecross.wire.signal_message import (
    VERSION_3,
    MessageVersion,
    SignalMessage,
    encode_signal_message_body,
)

__all__ = [
    "RatchetState",
    "count_skipped_keys",
    "drop_skipped_keys",
    "find_needed_bucket",
    "find_receiving_chain",
    "ratchet_decrypt",
    "ratchet_encrypt",
]

_UNKNOWN_KEY: Final = "no chain of the session has this ratchet key"
_HISTORY: Final = (DuplicateMessage, MessageTooOld, TooManySkipped)
"""What claims something about the messages before: anybody can claim it of a chain of their own."""


class _RatchetFields(NamedTuple):
    root_key: RootKey
    sending: SendingChain | StoppedSending | None
    previous_counter: int
    receiving: tuple[ReceivingChain, ...]
    spqr: SpqrState | None = None


class RatchetState(SecretTuple, _RatchetFields):
    """All that changes in a session.

    Attributes:
        root_key: RK, 32 bytes, secret.
        sending: DHs, CKs and Ns; None when the peer has turned and we have sent nothing since.
        previous_counter: last message number of our previous sending chain (0 if none).
        receiving: DHr, CKr, Nr and MKSKIPPED of up to five chains, oldest first.
        spqr: the post-quantum ratchet, or None where there is none.
    """

    __slots__ = ()


def ratchet_encrypt(
    state: RatchetState,
    plaintext: bytes,
    associated_data: bytes,
    entropy: EntropySource,
    version: MessageVersion = VERSION_3,
    addresses: bytes | None = None,
) -> tuple[RatchetState, bytes]:
    """Encrypt a message (any length) and encode it.

    Args:
        state: of the session.
        plaintext: what to encrypt.
        associated_data: sender's and receiver's identity keys, 66 bytes.
        entropy: for our ratchet key pair, 32 bytes, with the first message of a turn; then for the
            post-quantum ratchet, see `spqr_send`.
        version: of the session.
        addresses: who sends to whom, 36 bytes, or None.

    Returns:
        The new state, and a complete Signal message.

    Raises:
        SessionExhausted: a sending chain has no numbers left.
        NoSession: nothing may be sent any more.

    Source: Double Ratchet section 3.4 (RatchetEncrypt).
    """
    root_key, sending = state.root_key, state.sending
    if sending is None:
        root_key, sending = _new_sending_chain(state, entropy)
    elif isinstance(sending, StoppedSending):
        raise NoSession("this session was put away when the store was restored: start a new one")
    spqr, pq_message, pq_key = spqr_send(state.spqr, entropy)
    number = sending.message_number
    sending, message_key = next_sending_key(sending)
    keys = derive_message_keys(message_key, pq_key)
    body = encode_signal_message_body(
        sending.ratchet_key_pair.public,
        number,
        state.previous_counter,
        cbc_encrypt(keys.cipher_key, keys.iv, plaintext),
        version,
        pq_message,
        addresses,
    )
    message = body + compute_mac(keys.mac_key, associated_data, body)
    fields = (root_key, sending, state.previous_counter, state.receiving, spqr)
    return new_tuple(RatchetState, fields), message


def ratchet_decrypt(
    state: RatchetState,
    message: SignalMessage,
    associated_data: bytes,
    max_forward_jump: int,
    addresses: bytes | None = None,
) -> tuple[RatchetState, bytes]:
    """Authenticate and decrypt a message.

    Args:
        state: of the session.
        message: as decoded from the bytes that arrived.
        associated_data: the two identity keys, sender's first, 66 bytes.
        max_forward_jump: how many messages may be skipped, in either ratchet.
        addresses: what a message that says who sends to whom must say, 36 bytes, or None: no such
            message is genuine.

    Returns:
        The new state, and the plaintext.

    Raises:
        AuthenticationFailed: the MAC, the addresses or the padding are wrong, or the post-quantum
            ratchet says so; or one of the next three where the ratchet key is not known.
        DuplicateMessage, MessageTooOld, TooManySkipped: the message key has been used, its chain
            was closed before it, or it is too far ahead.
        InvalidKey: the agreement with its ratchet key is all zero.
        UnsupportedVersion: the sender does not run the post-quantum ratchet, and has to.
        DecodeError: the message of the post-quantum ratchet is malformed.

    Source: Double Ratchet section 3.5 (RatchetDecrypt).
    """
    known = find_receiving_chain(state, message.ratchet_key)
    root_key, chain = state.root_key, known
    if chain is None:
        root_key, chain = _new_receiving_chain(state, message.ratchet_key)
    try:
        found = find_message_key(chain, message.counter, max_forward_jump)
        pq_found = find_spqr_key(
            state.spqr,
            message.pq_ratchet,
            max_forward_jump,
            may_have_no_key=chain.may_have_no_pq_key,
        )
    except _HISTORY:
        if known is not None:
            raise
        raise AuthenticationFailed(_UNKNOWN_KEY) from None
    keys = derive_message_keys(found.message_key, pq_found.key)
    verify_mac(message.mac, keys.mac_key, associated_data, message.authenticated)
    if message.addresses is not None and message.addresses != addresses:
        raise AuthenticationFailed("the message names other addresses than it came under")
    plaintext = cbc_decrypt(keys.cipher_key, keys.iv, message.ciphertext)
    # Authenticated: from here on the new state is made.
    advanced = use_message_key(chain, found)
    spqr = use_spqr_key(state.spqr, pq_found)
    if known is None:
        return _turn(state, root_key, advanced, message.previous_counter, spqr), plaintext
    return _stay(state, known, advanced, found, spqr), plaintext


def find_receiving_chain(state: RatchetState, ratchet_key: PublicKey) -> ReceivingChain | None:
    """Return the chain of that ratchet key (33 bytes), newest first, or None."""
    for chain in reversed(state.receiving):
        if chain.ratchet_key == ratchet_key:
            return chain
    return None


def find_needed_bucket(state: RatchetState, message: SignalMessage) -> tuple[PublicKey, int] | None:
    """Tell which bucket of stored keys has to be at hand for `ratchet_decrypt`.

    That is at most one: the one with the message's own key, or the one that keys of skipped
    messages are added to.

    Returns:
        The ratchet key (33 bytes) of its chain and its number, or None.
    """
    chain = find_receiving_chain(state, message.ratchet_key)
    if chain is not None and message.counter < chain.message_number:
        number = message.counter
    elif chain is not None:
        number = chain.message_number
    elif state.receiving:  # a new chain begins, and the last one may be closed
        chain = state.receiving[-1]
        number = chain.message_number
    if chain is None or not len(chain.skipped):
        return None
    return chain.ratchet_key, SkippedKeys.bucket_of(number)


def count_skipped_keys(state: RatchetState) -> int:
    """How many message keys are stored for messages that have not arrived."""
    return _count(state.receiving)


def drop_skipped_keys(state: RatchetState, count: int) -> RatchetState:
    """Return the state without that many stored keys, or all: those of the oldest chain first."""
    return RatchetState(
        state.root_key,
        state.sending,
        state.previous_counter,
        _drop(state.receiving, count),
        state.spqr,
    )


def _new_receiving_chain(
    state: RatchetState, ratchet_key: PublicKey
) -> tuple[RootKey, ReceivingChain]:
    """Return the chain that the peer begins with a new ratchet key, and the root key after it.

    Source: Double Ratchet section 3.5 (DHRatchet, first half).
    """
    key_pair = None if state.sending is None else state.sending.ratchet_key_pair
    if key_pair is None:  # the peer has not heard of one that it could answer
        raise AuthenticationFailed(_UNKNOWN_KEY)
    root_key, chain_key = advance_root_chain(state.root_key, key_pair, ratchet_key)
    is_initiators_first = (
        state.spqr is not None and not state.spqr.is_initiator and not state.receiving
    )
    return root_key, ReceivingChain(ratchet_key, chain_key, 0, NO_SKIPPED_KEYS, is_initiators_first)


def _new_sending_chain(state: RatchetState, entropy: EntropySource) -> tuple[RootKey, SendingChain]:
    """Return the chain with which we answer the peer's newest key, and the root key after it.

    Source: Double Ratchet section 3.5 (DHRatchet, second half).
    """
    key_pair = generate_key_pair(entropy)
    root_key, chain_key = advance_root_chain(
        state.root_key, key_pair, state.receiving[-1].ratchet_key
    )
    return root_key, SendingChain(key_pair, chain_key, 0)


def _turn(
    state: RatchetState,
    root_key: RootKey,
    fresh: ReceivingChain,
    previous_counter: int | None,
    spqr: SpqrState | None,
) -> RatchetState:
    """Finish a step to a new chain: close the peer's last one, and forget our own.

    Source: Double Ratchet section 3.5 (DHRatchet, what it does to the chains before).
    """
    chains = state.receiving
    if chains:
        chains = (*chains[:-1], close_receiving_chain(chains[-1], previous_counter))
    sending, last_number = None, state.previous_counter
    if isinstance(state.sending, SendingChain):
        last_number = max(state.sending.message_number - 1, 0)
    else:  # what was stopped stays so: the peer may have gone on from another step of ours
        sending = StoppedSending(None)
    return RatchetState(
        root_key,
        sending,
        last_number,
        _bound_skipped_keys((*chains, fresh)[-MAX_RECEIVING_CHAINS:]),
        spqr,
    )


def _stay(
    state: RatchetState,
    chain: ReceivingChain,
    advanced: ReceivingChain,
    found: FoundKey,
    spqr: SpqrState | None,
) -> RatchetState:
    """Finish a step on a chain that we know."""
    chains = tuple([advanced if other is chain else other for other in state.receiving])
    if found.skipped_chain_keys:
        chains = _bound_skipped_keys(chains)
    fields = (state.root_key, state.sending, state.previous_counter, chains, spqr)
    return new_tuple(RatchetState, fields)


def _bound_skipped_keys(chains: tuple[ReceivingChain, ...]) -> tuple[ReceivingChain, ...]:
    """Drop stored keys above the session's total, those of the oldest chain first."""
    surplus = _count(chains) - MAX_SKIPPED_KEYS_PER_SESSION
    return chains if surplus <= 0 else _drop(chains, surplus)


def _count(chains: tuple[ReceivingChain, ...]) -> int:
    return sum([len(chain.skipped) for chain in chains])


def _drop(chains: tuple[ReceivingChain, ...], surplus: int) -> tuple[ReceivingChain, ...]:
    bounded = []
    for chain in chains:
        dropped = min(surplus, len(chain.skipped))
        surplus -= dropped
        bounded.append(
            ReceivingChain(
                chain.ratchet_key,
                chain.chain_key,
                chain.message_number,
                chain.skipped.newest(len(chain.skipped) - dropped),
                chain.may_have_no_pq_key,
            )
        )
    return tuple(bounded)
