# SPDX-License-Identifier: Apache-2.0
"""One example of each body of a call over a network, and what reads it."""

from collections.abc import Callable, Mapping
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.errors import MailboxFull, UnknownRecipient
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys, Waiting
from e2ecross.wire.service_accounts import (
    AddressRequest,
    PublishRequest,
    RegisterRequest,
    decode_count,
    decode_epochs,
    encode_count,
    encode_epochs,
)
from e2ecross.wire.service_blobs import (
    BlobRequest,
    decode_blob,
    decode_stored,
    encode_blob,
    encode_stored,
)
from e2ecross.wire.service_devices import (
    LinkRequest,
    PublishDevicesRequest,
    decode_link,
    encode_link,
)
from e2ecross.wire.service_errors import ErrorBody
from e2ecross.wire.service_keys import FetchKeysRequest, decode_user_keys, encode_user_keys
from e2ecross.wire.service_mail import (
    AcknowledgeRequest,
    DepositCopiesRequest,
    DepositRequest,
    FetchRequest,
    decode_deposited,
    decode_waiting,
    encode_deposited,
    encode_waiting,
)
from tests.support.points import GOOD_KEY

__all__ = ["BODIES", "BUNDLE"]

_ANA: Final = Address("whatsapp", "ana")
_BUDI: Final = UserId("instagram", "budi")

BUNDLE: Final = PreKeyBundle(
    address=Address("instagram", "budi"),
    registration_id=1,
    identity_key=GOOD_KEY,
    signed_prekey_id=2,
    signed_prekey=GOOD_KEY,
    signed_prekey_signature=bytes(64),
)

BODIES: Final[Mapping[str, tuple[Callable[[bytes], object], bytes]]] = {
    "register": (RegisterRequest.decode, RegisterRequest(_ANA, b"card", bytes(32)).encode()),
    "publish": (PublishRequest.decode, PublishRequest(b"keys", 7, True).encode()),
    "address": (AddressRequest.decode, AddressRequest(_ANA).encode()),
    "epochs": (decode_epochs, encode_epochs({0: 7, 3: 9})),
    "count": (decode_count, encode_count(99)),
    "fetch keys": (
        FetchKeysRequest.decode,
        FetchKeysRequest(_ANA, (KeysWanted(_BUDI, None), KeysWanted(_BUDI, [1, 2]))).encode(),
    ),
    "user keys": (
        lambda data: list(map(str, decode_user_keys(data, 2))),
        encode_user_keys([UserKeys(b"list", (BUNDLE,)), UnknownRecipient("nobody")]),
    ),
    "publish devices": (
        PublishDevicesRequest.decode,
        PublishDevicesRequest(b"list", {2: bytes(32)}, 7).encode(),
    ),
    "link": (LinkRequest.decode, LinkRequest(bytes(16), 2, b"sealed", _ANA).encode()),
    "linked": (decode_link, encode_link(b"sealed")),
    "deposit": (
        DepositRequest.decode,
        DepositRequest((b"one", b"two"), {0: 7}, (b"", bytes(32))).encode(),
    ),
    "deposit copies": (
        DepositCopiesRequest.decode,
        DepositCopiesRequest(b"copies", {0: 7}).encode(),
    ),
    "deposited": (
        lambda data: str(decode_deposited(data, 2, (0,))),
        encode_deposited(Deposited({1: MailboxFull("full")}, {_BUDI: 3}, {0: 7})),
    ),
    "fetch": (FetchRequest.decode, FetchRequest(_ANA, 9, 8, 7, 6, bytes(16)).encode()),
    "waiting": (
        lambda data: decode_waiting(data, 2, 0),
        encode_waiting([Waiting(1, b"one"), Waiting(2, b"two")]),
    ),
    "acknowledge": (AcknowledgeRequest.decode, AcknowledgeRequest(_ANA, (1, 2)).encode()),
    "blob": (BlobRequest.decode, BlobRequest(bytes(32), _ANA, 9, 8, b"encrypted").encode()),
    "stored": (decode_stored, encode_stored(99)),
    "blob read": (decode_blob, encode_blob(b"encrypted")),
    "error": (ErrorBody.decode, ErrorBody("backend_error", "text", 1_000).encode()),
}
