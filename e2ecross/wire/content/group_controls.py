# SPDX-License-Identifier: Apache-2.0
"""What clients tell each other about groups: the content kinds 2^31 + 32 to 2^31 + 35.

Their values and bytes alone. No device acts on them yet, so they are not in the table of
`kinds.py`: what comes in one of them counts as received, as any unknown kind from 2^31 on.
"""

from typing import Any, Final

from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire.content.group_commits import GROUP_COMMITS, GroupCommits
from e2ecross.wire.content.group_resent import GROUP_RESENT, GroupResent
from e2ecross.wire.content.group_retry_request import GROUP_RETRY_REQUEST, GroupRetryRequest
from e2ecross.wire.content.kind import ContentKind
from e2ecross.wire.content.sender_key_grant import SENDER_KEY_GRANT, SenderKeyGrant

__all__ = ["GroupControl", "decode_group_control", "encode_group_control"]

GroupControl = SenderKeyGrant | GroupCommits | GroupRetryRequest | GroupResent
"""The classes of these kinds."""

_KINDS: Final[tuple[ContentKind[Any], ...]] = (
    SENDER_KEY_GRANT,
    GROUP_COMMITS,
    GROUP_RETRY_REQUEST,
    GROUP_RESENT,
)
_BY_NUMBER: Final = {kind.number: kind for kind in _KINDS}
_BY_CLASS: Final = {kind.classes[0]: kind for kind in _KINDS}


def encode_group_control(content: GroupControl) -> tuple[int, bytes]:
    """Return content kind and body."""
    row = _BY_CLASS[type(content)]
    return row.number, row.encode(content)


def decode_group_control(kind: int, body: bytes) -> GroupControl:
    """Read what a client tells another about a group.

    Raises:
        DecodeError: malformed, too long, not in its one encoding, or of another kind.
        UnsupportedVersion: a part of it is of a later version.
    """
    row = _BY_NUMBER.get(kind)
    if row is None:
        raise DecodeError(f"content kind {kind} is none about groups")
    try:
        content: GroupControl = row.decode(body)
    except InvalidArgument as error:
        raise DecodeError(f"a content is not acceptable: {error}") from error
    return content
