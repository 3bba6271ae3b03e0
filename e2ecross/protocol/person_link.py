# SPDX-License-Identifier: Apache-2.0
"""Person links: two accounts of one person, on two apps, say so of each other.

Rules:
- Both accounts sign the same bytes: nobody is linked to a stranger who wishes it.
- A link is for display alone: it moves no trust and no verification.

Source: docs/wire-format.md, person links.
"""

from typing import Final

from e2ecross.crypto.account_kdf import person_link_message
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import KeyPair, PublicKey
from e2ecross.crypto.xeddsa import sign, verify_signature
from e2ecross.errors import DecodeError, EnvelopeMismatch
from e2ecross.wire.person_link import PersonLink, SignedPersonLink

__all__ = ["MAX_PERSON_LINK_MS", "sign_person_link", "verify_person_link"]

MAX_PERSON_LINK_MS: Final = 400 * 24 * 60 * 60 * 1000
"""How long a link may hold from now on: whoever wants it longer signs another one."""


def sign_person_link(link: PersonLink, account_key_pair: KeyPair, entropy: EntropySource) -> bytes:
    """Sign a link with the key of one of its accounts (draws 64 bytes of entropy).

    Returns:
        The signature, 64 bytes.
    """
    return sign(account_key_pair, person_link_message(link.encode()), entropy)


def verify_person_link(
    signed: SignedPersonLink,
    first_key: PublicKey | None,
    second_key: PublicKey | None,
    now_ms: int,
) -> None:
    """Check that both accounts say so, and still do.

    Args:
        signed: the link.
        first_key: the accepted key of the first account, 33 bytes; None: there is none.
        second_key: that of the second.
        now_ms: milliseconds since 1970.

    Raises:
        InvalidSignature: one of them has not signed it.
        EnvelopeMismatch: it names another key of an account than the accepted one.
        DecodeError: it has expired, or holds for more than 400 days.
    """
    link, message = signed.link, person_link_message(signed.data)
    verify_signature(link.first.account_key, message, signed.first_signature)
    verify_signature(link.second.account_key, message, signed.second_signature)
    if (link.first.account_key, link.second.account_key) != (first_key, second_key):
        raise EnvelopeMismatch("a person link names another key than the accepted one")
    if not now_ms < link.expires_at_ms <= now_ms + MAX_PERSON_LINK_MS:
        raise DecodeError("a person link has expired, or holds for more than 400 days")
