# SPDX-License-Identifier: Apache-2.0
"""Targets: every entry point of a device and of the relay that takes what others wrote.

What is refused leaves the store as it was, byte for byte.
"""

import atexit
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from e2ecross import Address, MessageKind, PreKeyBundle, PublishedKeys
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    InvalidArgument,
    RemoteError,
    UntrustedIdentity,
)
from e2ecross.relay import Relay
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import KeysWanted, UserKeys
from tests.attacks.support import ANA, BUDI, TOKO, Person, inner_message
from tests.fuzz.target import ACCEPTED, Target, outcome
from tests.fuzz.world import first_message, load, scene
from tests.relay.support import deposit, device_list

__all__ = ["DOORS", "attempt"]

_TOKENS: Final[Mapping[Address, bytes]] = {ANA: b"\x0a" * 32, BUDI: b"\x0b" * 32}


def attempt(victim: Person, action: Callable[[], object], *allowed: type[E2ECrossError]) -> str:
    """Let somebody act; unless it is accepted, nothing of their store has changed."""
    before = victim.dump()
    came = outcome(action, *allowed)
    assert came == ACCEPTED or victim.dump() == before, f"stored something, and raised {came}"
    return came


def _budi() -> Person:
    return load(scene().budi, scene().budi_rows)


def _decrypt(data: bytes) -> str:
    victim = _budi()
    return attempt(victim, lambda: victim.device.decrypt(data), RemoteError)


def _decrypt_raw(kind: MessageKind) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        victim = _budi()
        return attempt(victim, lambda: victim.device.decrypt_raw(ANA, kind, data), RemoteError)

    return run


def _start_session(data: bytes) -> str:
    victim = _budi()
    return attempt(
        victim,
        lambda: victim.device.start_session(PreKeyBundle.decode(data)),
        RemoteError,
        UntrustedIdentity,
        InvalidArgument,  # a bundle of the device itself
    )


def _start_session_of_fields(data: bytes) -> str:
    """A bundle that no decoder has seen: made by the app, of what a back end of its own said."""
    victim = _budi()
    cut = [data[at : at + 33] for at in (0, 33, 66)]
    bundle = PreKeyBundle(TOKO, 1, cut[0], 1, cut[1], data[99:], 1, cut[2])
    return attempt(victim, lambda: victim.device.start_session(bundle), RemoteError)


@cache
def _relay() -> Relay:
    folder = tempfile.TemporaryDirectory(prefix="e2ecross-fuzz-")
    relay = Relay(
        Path(folder.name) / "relay.db",
        authorise=lambda address, taken, credential: True,
        clock=scene().budi.clock,
    )
    for address, token in _TOKENS.items():
        relay.register(address, token)
    atexit.register(folder.cleanup)
    atexit.register(relay.close)
    return relay


def _deposit(data: bytes) -> str:
    relay = _relay()
    came = outcome(lambda: deposit(relay, _TOKENS[ANA], data), RemoteError, BackendError)
    for address in _TOKENS:
        items = relay.fetch(address, _TOKENS[address], 10)
        # One that was deposited before, and acknowledged, is not put there again.
        assert [item for _, item in items] in ([], [data]), "another envelope than was deposited"
        assert came == ACCEPTED or not items, "a refused envelope is kept"
        relay.acknowledge(address, _TOKENS[address], [number for number, _ in items])
    return came


def _deposit_copies(data: bytes) -> str:
    relay = _relay()
    came = outcome(lambda: relay.deposit_copies(_TOKENS[ANA], data), RemoteError, BackendError)
    for address in _TOKENS:
        items = relay.fetch(address, _TOKENS[address], 10)
        assert came == ACCEPTED or not items, "refused copies are kept"
        for _, item in items:
            assert item == EnvelopeCopies.decode(data).encode_for(address)
        relay.acknowledge(address, _TOKENS[address], [number for number, _ in items])
    return came


def _publish(data: bytes) -> str:
    relay = _relay()
    return outcome(
        lambda: relay.publish(_TOKENS[BUDI], PublishedKeys.decode(data)), RemoteError, BackendError
    )


def _publish_devices(data: bytes) -> str:
    relay = _relay()
    for token in (bytes(32), _TOKENS[BUDI]):  # a reset: there is no list
        relay.register(BUDI, token)
    tokens = {number: bytes([number]) * 32 for number in (2, 3)}
    came = outcome(
        lambda: relay.publish_devices(_TOKENS[BUDI], data, tokens), RemoteError, BackendError
    )
    [keys] = relay.fetch_keys(BUDI, _TOKENS[BUDI], [KeysWanted(BUDI.user_id, [])])
    assert keys == UserKeys(data if came == ACCEPTED else b"", ()), "another list is kept"
    return came


def _envelopes() -> Sequence[bytes]:
    known = (scene().late, *scene().waiting)
    into_a_group = replace(scene().late, kind=MessageKind.SENDER_KEY)
    return [envelope.encode() for envelope in (*known, first_message(), into_a_group)]


def _copies() -> Sequence[bytes]:
    return [
        EnvelopeCopies(bytes([number]) * 16, ANA, recipients, b"cipher").encode()
        for number, recipients in enumerate([(BUDI, TOKO), (BUDI,), (BUDI, Address("x", "y", 7))])
    ]


def _lists() -> Sequence[bytes]:
    return [
        device_list(BUDI, seq, devices).encode()
        for seq, devices in ((1, (1,)), (7, (1, 2)), (2**63 - 1, (1, 2, 3, 127)))
    ]


def _bundle_fields() -> Sequence[bytes]:
    bundle = scene().bundles[TOKO]
    keys = bundle.identity_key + bundle.signed_prekey + (bundle.one_time_prekey or b"")
    return [keys + bundle.signed_prekey_signature]


DOORS: Final[Mapping[str, Target]] = {
    "decrypt": Target(_decrypt, _envelopes, 2048),
    "decrypt-raw-signal": Target(
        _decrypt_raw(MessageKind.SIGNAL),
        lambda: [inner_message(envelope) for envelope in (scene().late, *scene().waiting)],
        1024,
    ),
    "decrypt-raw-prekey": Target(
        _decrypt_raw(MessageKind.PREKEY), lambda: [first_message().ciphertext], 1024
    ),
    "start-session": Target(
        _start_session, lambda: [bundle.encode() for bundle in scene().bundles.values()], 1024
    ),
    "start-session-of-fields": Target(_start_session_of_fields, _bundle_fields, 256),
    "relay-deposit": Target(_deposit, _envelopes, 2048),
    "relay-copies": Target(_deposit_copies, _copies, 2048),
    "relay-publish": Target(_publish, lambda: [scene().budi.published.encode()], 2048),
    "relay-devices": Target(_publish_devices, _lists, 2048),
}
