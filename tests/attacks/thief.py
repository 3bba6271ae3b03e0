# SPDX-License-Identifier: Apache-2.0
"""A thief: has a copy of a store and a recording of the network, and tries every key everywhere.

It knows the protocol but nothing about how records are written: every run of 32 bytes in a record
may be a key. What it does with them:
- take each one for a message key, and for a chain key at any place of its chain;
- take each field of 32 bytes for a root key, and each for a private key, and step every pair of
  them with every ratchet key of the recording (and go on from what that gives);
- take each for the private key of an identity, signed prekey or one-time prekey, and redo the key
  agreement of every recorded first message as its responder.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Final

from e2ecross import Address, Envelope, MessageKind
from e2ecross.crypto.cipher import cbc_decrypt, compute_mac
from e2ecross.crypto.kdf import (
    ChainKey,
    MessageKey,
    RootKey,
    derive_initial_keys,
    derive_message_key,
    derive_message_keys,
    derive_next_chain_key,
    derive_root_and_chain_key,
)
from e2ecross.crypto.keys import PrivateKey, PublicKey, agree, key_pair_from_private
from e2ecross.wire.content import decode_payload
from e2ecross.wire.signal_message import (
    PreKeySignalMessage,
    SignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
)
from tests.attacks.support import Person, Rows
from tests.support import protobuf

__all__ = ["Recording", "Thief"]

_KEY: Final = 32


@dataclass
class Recording:
    """What went over the network between two people."""

    left: Person
    right: Person
    sent: list[Envelope] = field(default_factory=list)

    def send(self, sender: Person, text: str) -> Envelope:
        """Encrypt and record, without delivering."""
        reader = self.right if sender is self.left else self.left
        envelope = sender.send(reader, text)
        self.sent.append(envelope)
        return envelope

    def say(self, sender: Person, text: str) -> None:
        """Encrypt, record and deliver."""
        reader = self.right if sender is self.left else self.left
        assert reader.read(self.send(sender, text)) == text


@dataclass(frozen=True)
class _Recorded:
    envelope: Envelope
    message: SignalMessage
    wrapper: PreKeySignalMessage | None
    associated_data: bytes


class Thief:
    """Opens what can be opened of a recording with the stolen records of one or more stores."""

    def __init__(self, loot: Rows, recording: Recording) -> None:
        """Take loot and recording home."""
        identities = {
            person.address: PublicKey(person.device.identity_key)
            for person in (recording.left, recording.right)
        }
        self._recorded = [_decode(envelope, identities) for envelope in recording.sent]
        self._opened: dict[bytes, bytes] = {}
        self._windows = _windows(record for *_, record in loot)
        self._fields = {key for *_, record in loot for key in protobuf.byte_fields(record)}
        self._pairs = [key_pair_from_private(key) for key in sorted(self._fields)]

    def open(self) -> set[str]:
        """Return the texts of all messages that open."""
        for key in self._windows:
            self._try_anywhere(key)
        self._agree_again()
        self._walk_roots([RootKey(key) for key in self._fields])
        return {_text(plaintext) for plaintext in self._opened.values()}

    def _try_anywhere(self, key: bytes) -> None:
        """Take 32 bytes for a message key, and for a chain key at any place of any chain."""
        self._try_message_key(MessageKey(key), self._recorded)
        chain_key = ChainKey(key)
        for _ in range(max(item.message.counter for item in self._recorded) + 1):
            self._try_message_key(derive_message_key(chain_key), self._recorded)
            chain_key = derive_next_chain_key(chain_key)

    def _try_chain(self, chain_key: ChainKey, ratchet_key: PublicKey) -> bool:
        """Take a chain key for the first one of the chain of that ratchet key."""
        opened = False
        chain = [item for item in self._recorded if item.message.ratchet_key == ratchet_key]
        for number in range(max(item.message.counter for item in chain) + 1):
            here = [item for item in chain if item.message.counter == number]
            if here:
                opened |= self._try_message_key(derive_message_key(chain_key), here)
            chain_key = derive_next_chain_key(chain_key)
        return opened

    def _try_message_key(self, key: MessageKey, items: list[_Recorded]) -> bool:
        keys = derive_message_keys(key)
        opened = False
        for item in items:
            message = item.message
            mac = compute_mac(keys.mac_key, item.associated_data, message.authenticated)
            if mac == message.mac:
                plaintext = cbc_decrypt(keys.cipher_key, keys.iv, message.ciphertext)
                self._opened[item.envelope.message_id] = plaintext
                opened = True
        return opened

    def _walk_roots(self, roots: list[RootKey]) -> None:
        """Step every root with every pair of ratchet keys, and on from where that led."""
        ratchet_keys = {item.message.ratchet_key for item in self._recorded}
        tried: set[RootKey] = set()
        while roots:
            root = roots.pop()
            if root in tried:
                continue
            tried.add(root)
            for pair, ratchet_key in product(self._pairs, ratchet_keys):
                dh_output = _agree(pair.private, ratchet_key)
                next_root, chain_key = derive_root_and_chain_key(root, dh_output)
                if self._try_chain(chain_key, ratchet_key):
                    roots.append(next_root)

    def _agree_again(self) -> None:
        """X3DH as responder with every choice of stolen private keys."""
        wrappers = {item.wrapper.base_key: item for item in self._recorded if item.wrapper}
        for base_key, item in wrappers.items():
            assert item.wrapper is not None
            fourths = [b"", *(_agree(pair.private, base_key) for pair in self._pairs)]
            for identity, signed in product(self._pairs, repeat=2):
                three = (
                    _agree(signed.private, item.wrapper.identity_key)
                    + _agree(identity.private, base_key)
                    + _agree(signed.private, base_key)
                )
                ratchet_key = item.message.ratchet_key
                for fourth in fourths:
                    root, _ = derive_initial_keys(three + fourth)
                    next_root, chain_key = derive_root_and_chain_key(
                        root, _agree(signed.private, ratchet_key)
                    )
                    if self._try_chain(chain_key, ratchet_key):
                        self._walk_roots([next_root])


@cache
def _agree(private: PrivateKey, public: PublicKey) -> bytes:
    return agree(private, public)


def _decode(envelope: Envelope, identities: Mapping[Address, PublicKey]) -> _Recorded:
    associated_data = identities[envelope.sender] + identities[envelope.recipient]
    if envelope.kind is MessageKind.SIGNAL:
        message = decode_signal_message(envelope.ciphertext)
        return _Recorded(envelope, message, None, associated_data)
    wrapper = decode_prekey_signal_message(envelope.ciphertext)
    return _Recorded(envelope, wrapper.message, wrapper, associated_data)


def _windows(records: Iterable[bytes]) -> set[bytes]:
    return {
        record[start : start + _KEY]
        for record in records
        for start in range(len(record) - _KEY + 1)
    }


def _text(plaintext: bytes) -> str:
    content = decode_payload(plaintext).content
    text: str = getattr(content, "text", repr(content))
    return text
