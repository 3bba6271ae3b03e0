# SPDX-License-Identifier: Apache-2.0
"""What published keys say: a bundle, or a publication.

Rules:
- Public values only, and all of them. No signature is checked: devices check them themselves.
- Without Kyber prekeys a publication of one one-time prekey is, byte for byte, a bundle, and
  described as one.
"""

from dataclasses import dataclass

from e2ecross.errors import DecodeError
from e2ecross.wire.bundle import PreKeyBundle, PublishedKeys

__all__ = ["KeysView", "PublicPrekeyView", "describe_keys"]


@dataclass(frozen=True, slots=True)
class PublicPrekeyView:
    """One prekey.

    Attributes:
        id: its id.
        public_key: as hex: 33 bytes, of Kyber 1569.
        signature: 64 bytes as hex; None of a one-time X25519 prekey, which is not signed.
    """

    id: int
    public_key: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class KeysView:
    """All that a bundle or a publication says.

    Attributes:
        kind: "bundle" or "publication".
        size_bytes: of the whole.
        address: whose keys they are, such as `whatsapp:ana.1`.
        registration_id: the installation's.
        identity_key: 33 bytes as hex.
        signed_prekey: the current one.
        one_time_prekeys: of a bundle at most one.
        kyber_prekeys: likewise; that of a bundle may be a last-resort one, which it does not say.
        last_resort_kyber_prekey: of a publication that offers Kyber prekeys; else None.
    """

    kind: str
    size_bytes: int
    address: str
    registration_id: int
    identity_key: str
    signed_prekey: PublicPrekeyView
    one_time_prekeys: tuple[PublicPrekeyView, ...]
    kyber_prekeys: tuple[PublicPrekeyView, ...]
    last_resort_kyber_prekey: PublicPrekeyView | None = None


def describe_keys(data: bytes) -> KeysView:
    """Read an encoded bundle or publication.

    Raises:
        DecodeError: neither.
        UnsupportedVersion: of a later version.
        InvalidKey: a publication with a key that is not acceptable.
    """
    try:
        return _describe_bundle(PreKeyBundle.decode(data), len(data))
    except DecodeError:
        return _describe_publication(PublishedKeys.decode(data), len(data))


def _describe_bundle(bundle: PreKeyBundle, size_bytes: int) -> KeysView:
    one_time = _view(bundle.one_time_prekey_id, bundle.one_time_prekey)
    kyber = _view(bundle.kyber_prekey_id, bundle.kyber_prekey, bundle.kyber_prekey_signature)
    return KeysView(
        kind="bundle",
        size_bytes=size_bytes,
        address=str(bundle.address),
        registration_id=bundle.registration_id,
        identity_key=bundle.identity_key.hex(),
        signed_prekey=PublicPrekeyView(
            bundle.signed_prekey_id,
            bundle.signed_prekey.hex(),
            bundle.signed_prekey_signature.hex(),
        ),
        one_time_prekeys=one_time,
        kyber_prekeys=kyber,
    )


def _view(
    prekey_id: int | None, public_key: bytes | None, signature: bytes | None = None
) -> tuple[PublicPrekeyView, ...]:
    if prekey_id is None or public_key is None:
        return ()
    signed = None if signature is None else signature.hex()
    return (PublicPrekeyView(prekey_id, public_key.hex(), signed),)


def _describe_publication(published: PublishedKeys, size_bytes: int) -> KeysView:
    signed, last_resort = published.signed_prekey, published.last_resort_kyber_prekey
    return KeysView(
        kind="publication",
        size_bytes=size_bytes,
        address=str(published.address),
        registration_id=published.registration_id,
        identity_key=published.identity_key.hex(),
        signed_prekey=PublicPrekeyView(signed.id, signed.public_key.hex(), signed.signature.hex()),
        one_time_prekeys=tuple(
            PublicPrekeyView(prekey.id, prekey.public_key.hex())
            for prekey in published.one_time_prekeys
        ),
        kyber_prekeys=tuple(
            PublicPrekeyView(prekey.id, prekey.public_key.hex(), prekey.signature.hex())
            for prekey in published.kyber_prekeys
        ),
        last_resort_kyber_prekey=None
        if last_resort is None
        else PublicPrekeyView(
            last_resort.id, last_resort.public_key.hex(), last_resort.signature.hex()
        ),
    )
