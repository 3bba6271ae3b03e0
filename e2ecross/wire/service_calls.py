# SPDX-License-Identifier: Apache-2.0
"""The calls of a back end over a network: what each is named, and how large it may be.

A call is one row here, and one in `service/calls.py`.

Source: docs/service.md, calls.
"""

from typing import Final, NamedTuple

from e2ecross.wire.exchange import MAX_BLOB_PIECE_BYTES, MAX_DEPOSIT_BYTES
from e2ecross.wire.limits import MAX_COPIES_BYTES, MAX_PUBLISHED_KEYS_BYTES

__all__ = ["CALLS", "CONTENT_TYPE", "Call"]

CONTENT_TYPE: Final = "application/x-protobuf"

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB
_SMALL: Final = 512
_ANSWER: Final = 64 * _KIB


class Call(NamedTuple):
    """One call.

    Attributes:
        max_request: the largest body of a request, bytes.
        max_answer: the largest body of an answer that a client reads, bytes.
    """

    max_request: int
    max_answer: int = _ANSWER


CALLS: Final[dict[str, Call]] = {
    "register": Call(8_192),
    "publish": Call(MAX_PUBLISHED_KEYS_BYTES + 64),
    "publish_devices": Call(16_384),
    "epochs": Call(_SMALL, 2 * _MIB),
    "one_time_prekey_count": Call(_SMALL),
    "fetch_keys": Call(8_192, 4 * _MIB),
    "deposit_all": Call(MAX_DEPOSIT_BYTES + 128 * _KIB, 2 * _MIB),
    "deposit_copies": Call(MAX_COPIES_BYTES + 64 * _KIB, 2 * _MIB),
    "fetch": Call(_SMALL, 8 * _MIB),
    "acknowledge": Call(128 * _KIB),
    "put_link": Call(16_384),
    "get_link": Call(16_384),
    "begin_blob": Call(_SMALL),
    "put_blob": Call(MAX_BLOB_PIECE_BYTES + _KIB),
    "get_blob": Call(_SMALL, 8 * _MIB),
    "delete_blob": Call(_SMALL),
}
"""By name; the path is `/v1/` and the name."""
