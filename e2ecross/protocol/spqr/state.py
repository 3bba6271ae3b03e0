# SPDX-License-Identifier: Apache-2.0
"""SPQR, the sparse post-quantum ratchet: a key for each message from secrets of ML-KEM-768.

It runs beside the Double Ratchet. Each Signal message carries one message of it, and the keys of
the one are mixed into those of the other: whoever wants to read must break both.

Rules:
- A transition is a function of values: state in, new state and result out. A failure returns
  nothing, so it can change nothing.
- Receiving has two steps, and between them the Signal message is authenticated. `find_spqr_key`
  costs the bounded walk along a chain; everything expensive is left to `use_spqr_key`.
- A peer that does not run the ratchet is accepted only where the caller allows that
  (`is_required=False`), and only with the first message that is read. From then on the session
  has no state of the ratchet.
- A message without a key is accepted only where the caller says so: some older peers send such
  messages before they have heard from us, and nobody else ever does. Without that rule whoever
  breaks X25519 alone could write messages into a session.

Source: docs/wire-format.md, post-quantum ratchet.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.secret import SecretTuple, new_tuple
from e2ecross.crypto.spqr_kdf import AuthKey, SpqrKey
from e2ecross.errors import AuthenticationFailed, DecodeError, UnsupportedVersion
from e2ecross.protocol.spqr.authenticator import first_authenticator
from e2ecross.protocol.spqr.epoch_chains import (
    EpochChains,
    FoundLink,
    add_epoch,
    count_skipped,
    count_steps,
    drop_skipped,
    find_needed_bucket,
    find_received_key,
    next_sending_key,
    start_chains,
    use_received_key,
)
from e2ecross.protocol.spqr.machine import Held, Machine, Stage
from e2ecross.protocol.spqr.machine_receiving import check_epoch, machine_receive
from e2ecross.protocol.spqr.machine_sending import machine_send
from e2ecross.wire.spqr_message import (
    SPQR_VERSION,
    SpqrMessage,
    decode_spqr_message,
    encode_spqr_message,
    spqr_version,
)

__all__ = [
    "FoundSpqrKey",
    "Negotiation",
    "SpqrState",
    "count_skipped_spqr_keys",
    "count_spqr_steps",
    "drop_skipped_spqr_keys",
    "find_needed_spqr_bucket",
    "find_spqr_key",
    "spqr_send",
    "start_spqr",
    "use_spqr_key",
]


class Negotiation(IntEnum):
    """Whether the peer runs the ratchet. The numbers are stored.

    SETTLED: it does. REQUIRED: nothing has been received yet, and it must. OPTIONAL: nothing has
    been received yet, and it need not; until then our messages have no key.
    """

    SETTLED = 1
    REQUIRED = 2
    OPTIONAL = 3


class _SpqrStateFields(NamedTuple):
    is_initiator: bool
    negotiation: Negotiation
    chains: EpochChains
    machine: Machine


class SpqrState(SecretTuple, _SpqrStateFields):
    """All of the ratchet of one session. A session whose peer does not run it has None instead.

    Attributes:
        is_initiator: whether we started the session.
        negotiation: whether the peer runs it.
        chains: keys of messages.
        machine: the exchange of KEM keys.
    """

    __slots__ = ()


class _FoundSpqrKeyFields(NamedTuple):
    key: SpqrKey | None
    message: SpqrMessage | None
    link: FoundLink | None


class FoundSpqrKey(SecretTuple, _FoundSpqrKeyFields):
    """What a message says, which is not authenticated yet.

    Attributes:
        key: to be mixed into the message's keys, 32 bytes, secret; None if it has none.
        message: decoded; None if its sender does not run the ratchet, or we do not.
        link: where the key was found; None if there is none.
    """

    __slots__ = ()


_NOTHING: Final = FoundSpqrKey(None, None, None)


def start_spqr(auth_key: AuthKey, *, is_initiator: bool, is_required: bool) -> SpqrState:
    """Begin, after the session was agreed on.

    Args:
        auth_key: the last 32 bytes of what PQXDH gives, secret.
        is_initiator: whether we started the session.
        is_required: whether the peer must run the ratchet too.
    """
    stage = Stage.KEYS_UNSAMPLED if is_initiator else Stage.NO_HEADER_RECEIVED
    return SpqrState(
        is_initiator,
        Negotiation.REQUIRED if is_required else Negotiation.OPTIONAL,
        start_chains(auth_key, is_initiator=is_initiator),
        Machine.entering(stage, 1, Held(first_authenticator(auth_key))),
    )


def spqr_send(
    state: SpqrState | None, entropy: EntropySource
) -> tuple[SpqrState | None, bytes, SpqrKey | None]:
    """Take the step that goes with a message of ours.

    Args:
        state: of the session.
        entropy: for a KEM seed (64 bytes) or a message to encapsulate (32 bytes), each once in
            an epoch.

    Returns:
        The new state; the message of the ratchet, empty if the peer does not run it; and the key
        to be mixed into the message's keys, 32 bytes, secret, or None.

    Raises:
        SessionExhausted: the chain has no numbers left.
    """
    if state is None:
        return None, b"", None
    epoch = state.machine.epoch
    sent = machine_send(state.machine, entropy)
    chains, key_index, key = state.chains, 0, None
    if sent.secret is not None:
        chains = add_epoch(chains, sent.secret, is_initiator=state.is_initiator)
    if state.negotiation is not Negotiation.OPTIONAL:
        # While KEM keys are exchanged in an epoch, messages use those of the one before.
        chains, key_index, key = next_sending_key(chains, epoch - 1)
    message = SpqrMessage(epoch, key_index, sent.kind, sent.chunk_index, sent.chunk)
    fields = (state.is_initiator, state.negotiation, chains, sent.machine)
    return new_tuple(SpqrState, fields), encode_spqr_message(message), key


def find_spqr_key(
    state: SpqrState | None, data: bytes, max_forward_jump: int, *, may_have_no_key: bool
) -> FoundSpqrKey:
    """Find the key of a message.

    Args:
        state: of the session; not changed by this.
        data: the message of the ratchet, empty if there is none.
        max_forward_jump: how many keys further than the last one used it may be.
        may_have_no_key: whether it may be without one: true for the responder, for messages
            under the initiator's first ratchet key.

    Raises:
        DecodeError: malformed.
        UnsupportedVersion: its sender does not run the ratchet and has to, or has changed the
            version in mid-session.
        AuthenticationFailed: it has no key and must have one, or is of an epoch to come.
        DuplicateMessage: its key has been used.
        MessageTooOld: its key has been dropped.
        TooManySkipped: its key is too far ahead.
    """
    if state is None:
        return _NOTHING
    version = spqr_version(data)
    if version != SPQR_VERSION and state.negotiation is Negotiation.SETTLED:
        raise UnsupportedVersion(f"the message changes to version {version} of SPQR")
    if version == 0:
        if state.negotiation is Negotiation.REQUIRED:
            raise UnsupportedVersion("the sender does not run SPQR, which this session requires")
        return _NOTHING
    # A first message of a later version is read as one of ours, and answered with ours.
    message = decode_spqr_message(data)
    check_epoch(state.machine, message.epoch)
    if message.key_index == 0:
        if message.epoch > 1 or not may_have_no_key:
            raise AuthenticationFailed("the message has no post-quantum key")
        return FoundSpqrKey(None, message, None)
    link = find_received_key(state.chains, message.epoch - 1, message.key_index, max_forward_jump)
    return new_tuple(FoundSpqrKey, (link.key, message, link))


def use_spqr_key(state: SpqrState | None, found: FoundSpqrKey) -> SpqrState | None:
    """Return the state as it is once the message has been authenticated.

    Args:
        state: the one in which the key was found.
        found: the key.

    Raises:
        AuthenticationFailed: a KEM key or ciphertext that came in chunks has the wrong MAC.
        InvalidKey: a KEM key that came in chunks is none.
    """
    if state is None or found.message is None:
        return None
    step = machine_receive(state.machine, found.message)
    chains = state.chains
    if step.secret is not None:
        chains = add_epoch(chains, step.secret, is_initiator=state.is_initiator)
    if found.link is not None:
        chains = use_received_key(chains, found.link)
    fields = (state.is_initiator, Negotiation.SETTLED, chains, step.machine)
    return new_tuple(SpqrState, fields)


def find_needed_spqr_bucket(state: SpqrState | None, data: bytes) -> tuple[int, int] | None:
    """Tell which bucket of stored keys has to be at hand to find a message's key and to use it.

    Args:
        state: of the session.
        data: the message of the ratchet, empty if there is none.

    Returns:
        The epoch of its chain and its number there, or None.
    """
    if state is None or not spqr_version(data) or not count_skipped(state.chains):
        return None
    try:
        message = decode_spqr_message(data)
    except DecodeError:  # which `find_spqr_key` says in its turn
        return None
    epoch = message.epoch - 1
    number = find_needed_bucket(state.chains, epoch, message.key_index)
    return None if number is None else (epoch, number)


def count_spqr_steps(state: SpqrState | None, data: bytes) -> int:
    """How many steps along its chain `find_spqr_key` would take for a message, without a limit."""
    if state is None or not spqr_version(data):
        return 0
    try:
        message = decode_spqr_message(data)
    except DecodeError:
        return 0
    return count_steps(state.chains, message.epoch - 1, message.key_index)


def count_skipped_spqr_keys(state: SpqrState | None) -> int:
    """How many keys are stored for messages that have not arrived."""
    return 0 if state is None else count_skipped(state.chains)


def drop_skipped_spqr_keys(state: SpqrState, count: int) -> SpqrState:
    """Return the state without that many stored keys, or all: those of the oldest epoch first."""
    chains = drop_skipped(state.chains, count)
    return SpqrState(state.is_initiator, state.negotiation, chains, state.machine)
