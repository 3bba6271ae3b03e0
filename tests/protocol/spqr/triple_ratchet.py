# SPDX-License-Identifier: Apache-2.0
"""A session of version 4 in one page: the Double Ratchet with SPQR, for replaying transcripts.

Not a session layer: no archive, no closing of chains, no identity checks.
"""

from dataclasses import dataclass, replace

from e2ecross.crypto.cipher import cbc_decrypt, cbc_encrypt, compute_mac, verify_mac
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import MessageKey, MessageKeys, RootKey, hkdf
from e2ecross.crypto.keys import KeyPair, PublicKey, generate_key_pair
from e2ecross.crypto.spqr_kdf import SpqrKey
from e2ecross.protocol.message_chain import (
    ReceivingChain,
    SendingChain,
    find_message_key,
    next_sending_key,
    use_message_key,
)
from e2ecross.protocol.pqxdh import PqxdhKeys
from e2ecross.protocol.root_chain import advance_root_chain
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS
from e2ecross.protocol.spqr.state import (
    SpqrState,
    find_spqr_key,
    spqr_send,
    start_spqr,
    use_spqr_key,
)
from e2ecross.wire.signal_message import VERSION_4, SignalMessage, encode_signal_message_body

__all__ = ["TripleRatchet", "initiate", "respond"]

MAX_JUMP = 25_000


@dataclass(frozen=True)
class TripleRatchet:
    root_key: RootKey
    sending: SendingChain
    previous_counter: int
    receiving: tuple[ReceivingChain, ...]
    spqr: SpqrState | None
    first_remote_key: PublicKey | None = None  # the initiator's first ratchet key, at the responder

    def encrypt(
        self,
        plaintext: bytes,
        associated_data: bytes,
        entropy: EntropySource,
        addresses: bytes | None = None,
    ) -> tuple["TripleRatchet", bytes]:
        spqr, pq_message, pq_key = spqr_send(self.spqr, entropy)
        number = self.sending.message_number
        sending, message_key = next_sending_key(self.sending)
        keys = mixed_keys(message_key, pq_key)
        body = encode_signal_message_body(
            sending.ratchet_key_pair.public,
            number,
            self.previous_counter,
            cbc_encrypt(keys.cipher_key, keys.iv, plaintext),
            VERSION_4,
            pq_message,
            addresses,
        )
        message = body + compute_mac(keys.mac_key, associated_data, body)
        return replace(self, sending=sending, spqr=spqr), message

    def decrypt(
        self, message: SignalMessage, associated_data: bytes, entropy: EntropySource
    ) -> tuple["TripleRatchet", bytes]:
        chains = {chain.ratchet_key: chain for chain in self.receiving}
        first = self.first_remote_key
        may_have_no_key = first is not None and first in (b"", message.ratchet_key)
        pq_found = find_spqr_key(
            self.spqr, message.pq_ratchet, MAX_JUMP, may_have_no_key=may_have_no_key
        )
        root_key, known = self.root_key, chains.get(message.ratchet_key)
        chain = known
        if chain is None:
            root_key, chain_key = advance_root_chain(
                root_key, self.sending.ratchet_key_pair, message.ratchet_key
            )
            chain = ReceivingChain(message.ratchet_key, chain_key, 0, NO_SKIPPED_KEYS)
        found = find_message_key(chain, message.counter, MAX_JUMP)
        keys = mixed_keys(found.message_key, pq_found.key)
        verify_mac(message.mac, keys.mac_key, associated_data, message.authenticated)
        plaintext = cbc_decrypt(keys.cipher_key, keys.iv, message.ciphertext)
        chains[message.ratchet_key] = use_message_key(chain, found)
        after = replace(
            self,
            receiving=tuple(chains.values())[-5:],
            spqr=use_spqr_key(self.spqr, pq_found),
            first_remote_key=message.ratchet_key if first == b"" else first,
        )
        if known is not None:
            return after, plaintext
        pair = generate_key_pair(entropy)
        root_key, chain_key = advance_root_chain(root_key, pair, message.ratchet_key)
        return (
            replace(
                after,
                root_key=root_key,
                sending=SendingChain(pair, chain_key, 0),
                previous_counter=max(self.sending.message_number - 1, 0),
            ),
            plaintext,
        )


def mixed_keys(message_key: MessageKey, pq_key: SpqrKey | None) -> MessageKeys:
    okm = hkdf(bytes(32) if pq_key is None else pq_key, message_key, b"WhisperMessageKeys", 80)
    return MessageKeys(okm[:32], okm[32:64], okm[64:])


def initiate(
    keys: PqxdhKeys, ratchet: KeyPair, signed_prekey: PublicKey, *, is_required: bool = True
) -> TripleRatchet:
    root_key, chain_key = advance_root_chain(keys.root_key, ratchet, signed_prekey)
    spqr = start_spqr(keys.auth_key, is_initiator=True, is_required=is_required)
    return TripleRatchet(root_key, SendingChain(ratchet, chain_key, 0), 0, (), spqr)


def respond(keys: PqxdhKeys, signed_prekey: KeyPair, *, is_required: bool = True) -> TripleRatchet:
    spqr = start_spqr(keys.auth_key, is_initiator=False, is_required=is_required)
    sending = SendingChain(signed_prekey, keys.chain_key, 0)
    return TripleRatchet(keys.root_key, sending, 0, (), spqr, PublicKey(b""))
