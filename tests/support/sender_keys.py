# SPDX-License-Identifier: Apache-2.0
"""Groups that speak sender keys but are not ours: their messages in both forms, and vectors."""

from typing import Any, Final

from e2ecross import SenderKeyGroup
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import ChainKey
from e2ecross.crypto.keys import KeyPair, key_pair_from_private
from e2ecross.crypto.xeddsa import sign
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.sender_key import OwnSenderKey
from e2ecross.wire.sender_key_message import SenderKeyForm, encode_sender_key_message_body
from tests.support.entropy import SeededEntropy
from tests.support.vectors import groups, unhex

__all__ = [
    "FORMS",
    "KEY_ID",
    "UUID",
    "forms",
    "group_of",
    "signed_message",
    "vector_key",
    "vectors_of",
]

UUID: Final = SenderKeyGroup.uuid(bytes(range(16)))
KEY_ID: Final = SenderKeyGroup.key_id(b"1234-5678@g.us")
FORMS: Final = ("uuid", "key_id")


def forms(name: str) -> SenderKeyForm:
    """The form of that section of the vectors."""
    return SenderKeyForm.UUID if name == "uuid" else SenderKeyForm.KEY_ID


def vectors_of(name: str) -> Any:  # noqa: ANN401
    """A section of `sender_keys` in `groups.json`."""
    return groups("sender_keys")[name]


def group_of(section: Any) -> SenderKeyGroup:  # noqa: ANN401
    """The group of a section of the vectors."""
    distribution_id = section.get("distribution_id")
    return KEY_ID if distribution_id is None else SenderKeyGroup.uuid(unhex(distribution_id))


def vector_key(section: Any) -> OwnSenderKey:  # noqa: ANN401
    """The sender key that a section of the vectors begins with."""
    chain_key = ChainKey(unhex(section["messages"][0]["chain_key"]))
    pair = key_pair_from_private(unhex(section["signing_private"]))
    return OwnSenderKey(section["chain_id"], SendingChain(pair, chain_key, 0))


def signed_message(
    pair: KeyPair,
    group: SenderKeyGroup,
    chain_id: int,
    iteration: int,
    ciphertext: bytes,
    entropy: EntropySource | None = None,
) -> bytes:
    """A message of whoever may sign, which need not be what a sender makes."""
    body = encode_sender_key_message_body(group.distribution_id, chain_id, iteration, ciphertext)
    return body + sign(pair, body, entropy or SeededEntropy("signed"))
