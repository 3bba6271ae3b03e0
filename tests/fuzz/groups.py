# SPDX-License-Identifier: Apache-2.0
"""Targets: what members of a group that is not ours write, and damaged rows of sender keys.

Beside bytes of any kind there is a member who may sign: what lies behind the signature is reached.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Final, NamedTuple

from e2ecross import SenderKeyGroup
from e2ecross.crypto.cipher import cbc_encrypt
from e2ecross.crypto.kdf import derive_sender_message_keys
from e2ecross.errors import E2ECrossError, RemoteError
from e2ecross.protocol.message_chain import next_sending_key
from e2ecross.protocol.sender_key import OwnSenderKey
from e2ecross.state.sender_keys import find_own_sender_key
from e2ecross.stores import Table
from tests.attacks.support import ANA, BUDI, Person, Rows, person
from tests.fuzz.doors import attempt
from tests.fuzz.rows import changed
from tests.fuzz.target import Source, Target
from tests.fuzz.world import load
from tests.support.sender_keys import KEY_ID, UUID, signed_message

__all__ = ["GROUPS"]

_TABLES: Final = (Table.OWN_SENDER_KEYS, Table.SENDER_KEYS, Table.SENDER_KEY_SEEDS)
_MAX_WALK: Final = 300  # further ahead only costs time, and there are tests of the limits


class _Scene(NamedTuple):
    """Ana and Budi in a group of each form.

    Attributes:
        budi: the victim, who has skipped two messages in each.
        rows: his store.
        keys: what Ana sends with, as it was made, by group.
        distributions: of them, by group.
        messages: one that was skipped, one that was read, and one that was not, by group.
    """

    budi: Person
    rows: Rows
    keys: Mapping[SenderKeyGroup, OwnSenderKey]
    distributions: Mapping[SenderKeyGroup, bytes]
    messages: Mapping[SenderKeyGroup, tuple[bytes, ...]]


@cache
def _scene() -> _Scene:
    ana, budi = person(ANA), person(BUDI)
    keys, distributions, messages = {}, {}, {}
    for group in (UUID, KEY_ID):
        budi.device.new_sender_key_raw(group)
        distributions[group] = ana.device.new_sender_key_raw(group)
        budi.device.process_distribution_raw(ANA, group, distributions[group])
        with ana.store.transaction() as tx:
            key = find_own_sender_key(tx, group.place)
        assert key is not None
        keys[group] = key
        sent = [ana.device.encrypt_group_raw(group, bytes((number,))) for number in range(4)]
        budi.device.decrypt_group_raw(ANA, group, sent[2])
        messages[group] = (sent[0], *sent[2:])
    return _Scene(budi, budi.dump(), keys, distributions, messages)


def _budi() -> Person:
    return load(_scene().budi, _scene().rows)


def _decrypt(group: SenderKeyGroup) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        victim = _budi()
        return attempt(
            victim, lambda: victim.device.decrypt_group_raw(ANA, group, data), RemoteError
        )

    return run


def _process(group: SenderKeyGroup) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        victim = _budi()
        deliver = victim.device.process_distribution_raw
        return attempt(victim, lambda: deliver(ANA, group, data), RemoteError)

    return run


def _signed(data: bytes) -> str:
    """Any message of a member who may sign, a few in a row; some of them decrypt."""
    victim, source = _budi(), Source(data)
    came = "nothing"
    for _ in range(1 + source.below(3)):
        group = (UUID, KEY_ID)[source.below(2)]
        deliver = partial(victim.device.decrypt_group_raw, ANA, group, _sign(group, source))
        came = attempt(victim, deliver, RemoteError)
    return came


def _sign(group: SenderKeyGroup, source: Source) -> bytes:
    key = _scene().keys[group]
    chain_id = key.chain_id + source.below(2)
    iteration, chain = source.number(2) % _MAX_WALK, key.chain
    is_genuine, is_last = source.below(3) < 2, source.below(8) == 7
    ciphertext = source.take(source.below(48))
    if is_genuine:
        for _ in range(iteration + 1):
            chain, seed = next_sending_key(chain)
        keys = derive_sender_message_keys(seed)
        ciphertext = cbc_encrypt(keys.cipher_key, keys.iv, ciphertext)
    number = 2**32 - 1 - iteration if is_last else iteration
    return signed_message(chain.ratchet_key_pair, group, chain_id, number, ciphertext)


def _damaged(data: bytes) -> str:
    """Somebody has written to the store: errors of ours, and what is given anew is read."""
    rows = changed(tuple(row for row in _scene().rows if row[0] in _TABLES), Source(data))
    rest = tuple(row for row in _scene().rows if row[0] not in _TABLES)
    victim = load(_scene().budi, (*rest, *rows))
    device, came = victim.device, set()
    for group in (UUID, KEY_ID):
        actions: list[Callable[[], object]] = [
            partial(device.encrypt_group_raw, group, b""),
            partial(device.distribution_raw, group),
            *(
                partial(device.decrypt_group_raw, ANA, group, message)
                for message in _scene().messages[group]
            ),
            partial(device.process_distribution_raw, ANA, group, _scene().distributions[group]),
            partial(device.new_sender_key_raw, group),
        ]
        came |= {attempt(victim, action, E2ECrossError) for action in actions}
    return ",".join(sorted(came))


def _message_seeds(group: SenderKeyGroup) -> Callable[[], Sequence[bytes]]:
    def seeds() -> Sequence[bytes]:
        skipped, read, new = _scene().messages[group]
        other = KEY_ID if group is UUID else UUID
        return [new, skipped, read, new[:-1], _scene().messages[other][0], b"\x43" + new[1:]]

    return seeds


def _distribution_seeds(group: SenderKeyGroup) -> Callable[[], Sequence[bytes]]:
    def seeds() -> Sequence[bytes]:
        held = _scene().distributions[group]
        other = KEY_ID if group is UUID else UUID
        return [held, held[:-32] + bytes(32), held[:-1], _scene().distributions[other]]

    return seeds


GROUPS: Final[Mapping[str, Target]] = {
    "decrypt-group-uuid": Target(_decrypt(UUID), _message_seeds(UUID), 512),
    "decrypt-group-key-id": Target(_decrypt(KEY_ID), _message_seeds(KEY_ID), 512),
    "process-distribution-uuid": Target(_process(UUID), _distribution_seeds(UUID), 300),
    "process-distribution-key-id": Target(_process(KEY_ID), _distribution_seeds(KEY_ID), 300),
    "forged-group-message": Target(
        _signed,
        lambda: [
            b"\0\0\0\0\3\0\0\5hello",
            b"\2\0\0\0\1\0\0\1x\1\0\0\1\2\0\x10" + bytes(16) + b"\0\0\0\x80\0\0\1x",
            b"\0\1\1\0\3\0\0\1x",
            b"\0\1\0\0\1\2\7\x10" + bytes(16),
        ],
        128,
    ),
    "stored-sender-keys": Target(
        _damaged,
        lambda: [
            bytes(8),
            *(
                bytes((0, place, choice, 0, 8, 3, 9, 9))
                for place in range(6)
                for choice in range(6)
            ),
        ],
        96,
    ),
}
