# SPDX-License-Identifier: Apache-2.0
"""What `e2ecross inspect` says of groups: sender keys, commits, what clients tell each other."""

import textwrap
from collections.abc import Iterator
from typing import Final, assert_never

from e2ecross.cli.describe_commits import CommitsView, GroupCommitView, OpView
from e2ecross.cli.describe_groups import (
    ControlView,
    GrantView,
    GroupPayloadView,
    GroupResentView,
    GroupRetryRequestView,
)
from e2ecross.cli.describe_sender_keys import DistributionView, SenderKeyMessageView, SenderKeyView
from e2ecross.cli.inspect_lines import WIDTH, cut, line, time_of

__all__ = ["GroupView", "sender_key_lines", "tell_of_groups"]

GroupView = (
    SenderKeyMessageView | DistributionView | GroupCommitView | ControlView | GroupPayloadView
)

_OPS: Final = {
    "add": "adds",
    "remove": "removes",
    "leave": "leaves",
    "set_role": "gives a role",
    "step_down": "steps down",
}
_VERIFIED: Final = (
    "The signature verifies under the account key above. Whose key that is, and whether its owner "
    "was in the group and may do this, the commits before it tell, not this one."
)
_UNSIGNED: Final = "It is the commit alone, without a signature: nothing shows who made it."
_KEY_USE: Final = (
    "Whoever has the chain key reads what that device sends under it from there on: it is not "
    "printed here."
)
_DECRYPTED: Final = "This was encrypted on its way. What the user sent is not printed here."
_TOLD: Final = "This was encrypted on its way: clients tell it each other, and no app sees it."


def tell_of_groups(view: GroupView) -> Iterator[str]:
    """Put a view of something of a group into lines."""
    match view:
        case SenderKeyMessageView():
            return _message_lines(view)
        case DistributionView():
            return _distribution_lines(view)
        case GroupCommitView():
            return _commit_lines(view)
        case CommitsView():
            return _commits_lines(view)
        case GrantView():
            return _grant_lines(view)
        case GroupRetryRequestView():
            return _request_lines(view)
        case GroupResentView():
            return _resent_lines(view)
        case GroupPayloadView():
            return _payload_lines(view)
        case _:
            assert_never(view)


def sender_key_lines(message: SenderKeyView) -> Iterator[str]:
    """The public header of a message under a sender key, in lines."""
    yield "The message into the group, what all relays can read of it"
    yield from _key_lines(message.distribution_id, message.chain_id)
    yield from line("iteration", f"{message.iteration} (of that key, from 0)")
    yield from line("encrypted", *cut(message.encrypted))
    yield from line("signature", *cut(message.signature))


def _message_lines(view: SenderKeyMessageView) -> Iterator[str]:
    yield "A message under a sender key"
    yield from line("form", view.form)
    yield from line("size", f"{view.size_bytes} bytes")
    yield ""
    yield from sender_key_lines(view.sender_key)


def _distribution_lines(view: DistributionView) -> Iterator[str]:
    yield "A distribution message: a sender key, for a device that is to read with it"
    yield from line("form", view.form)
    yield from line("size", f"{view.size_bytes} bytes")
    yield from _key_lines(view.distribution_id, view.chain_id)
    yield from line("iteration", f"{view.iteration} (of the first message that it reads)")
    yield from line("signing key", view.signing_key)
    yield from line("chain key", "32 bytes, not shown")
    yield ""
    yield from textwrap.wrap(_KEY_USE, WIDTH)


def _key_lines(distribution_id: str | None, chain_id: int) -> Iterator[str]:
    named = "none: this form has none"
    if distribution_id is not None:
        named = f"{distribution_id} (names the sender's key)"
    yield from line("distribution id", named)
    yield from line("chain id", str(chain_id))


def _commit_lines(view: GroupCommitView) -> Iterator[str]:
    yield "A commit of a group: what a member changes"
    yield from line("group", view.group)
    yield from line("size", f"{view.size_bytes} bytes, without a signature")
    yield from line("hash", view.hash)
    yield from line("follows", *(view.parents or ("none: it begins the group",)))
    yield from line("author", view.author.user, view.author.account_key)
    yield from line("made", time_of(view.made_at_ms, "the author"))
    for op in view.ops:
        yield from _op_lines(op)
    if view.nonce is not None:
        yield from line("nonce", view.nonce)
    yield from line("signature", view.signature or "none")
    yield ""
    told = _UNSIGNED if view.signature is None else _VERIFIED
    yield from textwrap.wrap(
        told if view.problem is None else f"NOT SIGNED PROPERLY: {view.problem}", WIDTH
    )


def _op_lines(op: OpView) -> Iterator[str]:
    if op.member is None:
        senders = "owners and admins alone" if op.only_admins_send else "all members"
        yield from line("sets the name", ascii(op.name))
        yield from line("sets who sends", senders)
        yield from line("sets app data", f"{op.app_data_bytes} bytes, not shown")
        return
    given = "" if op.role is None else f", to be {op.role}"
    yield from line(_OPS[op.op], f"{op.member.user}{given}", op.member.account_key)


def _commits_lines(view: CommitsView) -> Iterator[str]:
    yield "Commits of a group, parents first"
    yield from line("of", view.group)
    yield from line("size", f"{view.size_bytes} bytes")
    yield from line("commits", str(len(view.commits)))
    for commit in view.commits:
        yield ""
        if isinstance(commit, GroupCommitView):
            yield from _commit_lines(commit)
        else:
            yield f"A commit of {commit.size_bytes} bytes that does not decode"
            yield from line("", commit.problem)
    yield ""
    yield from textwrap.wrap(_TOLD, WIDTH)


def _grant_lines(view: GrantView) -> Iterator[str]:
    yield "A grant: the sender key of a device in a group, for one device"
    yield from _place_lines(view.group, view.heads)
    yield from line("grant", f"{view.size_bytes} bytes")
    yield ""
    if view.distribution is not None:
        yield from _distribution_lines(view.distribution)
    else:
        yield "The distribution message inside does not decode"
        yield from line("", view.problem or "")


def _request_lines(view: GroupRetryRequestView) -> Iterator[str]:
    yield "A retry request: a client could not read a message into a group"
    yield from _place_lines(view.group or "not told: it is not known there", view.heads)
    yield from line("size", f"{view.size_bytes} bytes")
    yield from line("message id", view.message_id or "none: it asks for commits alone")
    yield from line("distribution id", view.distribution_id or "not told")
    yield from line("why", view.reason)
    yield ""
    yield from textwrap.wrap(_TOLD, WIDTH)


def _resent_lines(view: GroupResentView) -> Iterator[str]:
    yield "A message into a group, again and for one device alone"
    yield from _place_lines(view.group, view.heads)
    yield from line("size", f"{view.size_bytes} bytes")
    yield from _content_lines(view)


def _payload_lines(view: GroupPayloadView) -> Iterator[str]:
    yield "The payload of a message into a group"
    yield from line("from", view.sender)
    yield from _place_lines(view.group, view.heads)
    yield from line("size", f"{view.size_bytes} bytes, with padding")
    yield from line("registration id", f"{view.registration_id} (the sender's installation)")
    told = "not told" if view.list_seq is None else f"number {view.list_seq}, {view.list_hash}"
    yield from line("own list", told)
    yield from _content_lines(view)


def _content_lines(view: GroupResentView | GroupPayloadView) -> Iterator[str]:
    yield from line("message id", view.message_id)
    yield from line("sent", time_of(view.sent_at_ms, "the sender"))
    yield from line("content", f"kind {view.content_kind}, {view.content_bytes} bytes, not shown")
    yield ""
    yield from textwrap.wrap(_DECRYPTED, WIDTH)


def _place_lines(group: str, heads: tuple[str, ...]) -> Iterator[str]:
    yield from line("group", group)
    yield from line("heads", *(heads or ("none",)))
