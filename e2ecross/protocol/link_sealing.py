# SPDX-License-Identifier: Apache-2.0
"""What both ends of linking do with their messages: seal and open them, and end an attempt.

Rules:
- Each key seals one message, so the nonce is zeros: a message that is made again shows only whether
  it is the same.

Source: docs/wire-format.md, linking.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.crypto.aead import NONCE_BYTES, open_sealed, seal
from e2ecross.crypto.keys import PrivateKey, PublicKey, agree
from e2ecross.crypto.link_kdf import LinkKeys, derive_link_keys, link_transcript
from e2ecross.crypto.secret import Secret
from e2ecross.errors import DecodeError, LinkFailed, RemoteError
from e2ecross.wire.linking import LinkCode, LinkMessage

__all__ = ["LinkSealing", "link_failed", "require_time"]

_NONCE: Final = bytes(NONCE_BYTES)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LinkSealing(Secret):
    """What both ends share once they have each other's ephemeral key.

    Attributes:
        keys: one for each message, and one for the digits.
        transcript: goes into each seal, 32 bytes.
    """

    keys: LinkKeys
    transcript: bytes

    @classmethod
    def agreed(
        cls, code: LinkCode, offered: PublicKey, private: PrivateKey, public: PublicKey
    ) -> "LinkSealing":
        """Agree on the keys of an attempt.

        Args:
            code: the one that was shown.
            offered: the ephemeral key of device 1, 33 bytes.
            private: the own ephemeral key, 32 bytes, secret.
            public: that of the other end, 33 bytes.

        Raises:
            InvalidKey: the other end's key is of low order.
        """
        transcript = link_transcript(code.encode(), offered)
        keys = derive_link_keys(transcript, agree(private, public), code.secret)
        return cls(keys, transcript)

    def seal(self, key: bytes, content: bytes, ephemeral_key: PublicKey | None = None) -> bytes:
        """Return the encoded message with a content sealed under one of the keys.

        Args:
            key: 32 bytes, secret.
            content: what is sealed.
            ephemeral_key: 33 bytes, in an offer.
        """
        return LinkMessage(ephemeral_key, seal(key, _NONCE, content, self.transcript)).encode()

    def open(self, key: bytes, message: LinkMessage) -> bytes:
        """Open a message with one of the keys (32 bytes, secret).

        Raises:
            AuthenticationFailed: it was not sealed with this key in this attempt.
        """
        return open_sealed(key, _NONCE, message.sealed, self.transcript)

    def open_later(self, key: bytes, data: bytes) -> bytes:
        """Open an encoded message that follows an offer; raises as `LinkMessage.decode` and `open`.

        Raises:
            DecodeError: it is an offer.
        """
        message = LinkMessage.decode(data)
        if message.ephemeral_key is not None:
            raise DecodeError("a link message has an ephemeral key, which only an offer has")
        return self.open(key, message)


def require_time(ends_at_ms: int, now_ms: int) -> None:
    """Raise `LinkFailed` if the time of an attempt is over."""
    if now_ms > ends_at_ms:
        raise LinkFailed("linking has taken too long: begin again with a new code")


def link_failed(what: str, error: RemoteError) -> LinkFailed:
    """The end of an attempt, and why."""
    return LinkFailed(f"{what} cannot be used ({error}): begin again with a new code")
