# SPDX-License-Identifier: Apache-2.0
"""`negotiate`: what the devices of the other side will show of a content, before it is sent.

Rules:
- What a device can show is what it announces, and nothing else: docs/wire-format.md, capabilities.
- What protects somebody is obeyed by every device, or nothing is sent.
- Own devices have no say: they always get the content itself.
"""

import enum
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Final, cast

from e2ecross.address import Address
from e2ecross.arguments import require_type
from e2ecross.errors import InvalidArgument
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import (
    AnyContent,
    Bytes,
    Consent,
    Delete,
    Edit,
    Expiry,
    Framed,
    FramedContent,
    Media,
    Reaction,
    Text,
    describe_inner,
)
from e2ecross.wire.content.frame import MAX_FALLBACK_BYTES, OPENING_KEY_BYTES
from e2ecross.wire.text import require_text

__all__ = [
    "Loss",
    "Outcome",
    "Plan",
    "expiry_for",
    "fallback_text",
    "framed_needs",
    "goes_alone",
    "negotiate",
    "plain_text",
    "plan_framed",
]

_NO_KEY: Final = bytes(OPENING_KEY_BYTES)
_ELLIPSIS: Final = "…"
_NOTHING: Final[frozenset[int]] = frozenset()


class Outcome(enum.StrEnum):
    """What comes of sending a content to some devices."""

    LOSS_FREE = "loss_free"
    """All of them show it."""
    MINOR = "minor"
    """A reply is shown as a text that answers nothing."""
    LOSSY = "lossy"
    """Some show a text in its place, or nothing."""
    REFUSED = "refused"
    """One does not obey what protects somebody: nothing is sent."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What some devices do not do.

    Attributes:
        capability: which.
        devices: those that lack it, in order.
    """

    capability: Capability
    devices: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the devices of the other side will show.

    Attributes:
        outcome: the whole of it in one word.
        losses: what is lost where, by id.
        plain: devices that get plain text, or nothing of a delete, in order.
        fallback: the text that is shown in place of the content; empty if all show it.
    """

    outcome: Outcome
    losses: tuple[Loss, ...] = ()
    plain: tuple[Address, ...] = ()
    fallback: str = ""


def negotiate(
    content: AnyContent,
    ends: Mapping[Address, frozenset[int]],
    *,
    expiry: Expiry | None = None,
    view_once: bool = False,
    fallback: str | None = None,
) -> Plan:
    """Return what comes of sending a content to some devices.

    Args:
        content: what is to be sent; a reply, a reaction or an edit has the expiry of its target.
        ends: all devices of the other side that get a copy, with what each announces.
        expiry: when it is to be gone.
        view_once: it is to be looked at once.
        fallback: what a device shows that cannot show it, at most 1,024 bytes; if None or empty,
            made of the content.

    Raises:
        InvalidArgument: an argument has the wrong type or length; a content that is not sent to
            people, or that cannot have this expiry or be viewed once; one that is too long.
    """
    _require_ends(ends)
    require_type("view_once", view_once, bool)
    expiry = expiry_for(content, expiry)
    if fallback is not None:
        require_text("fallback", fallback, MAX_FALLBACK_BYTES)
    if goes_alone(content, expiry, view_once=view_once):
        return Plan(Outcome.LOSS_FREE)
    # What a frame cannot hold is found here, whatever the key will be.
    framed = Framed(cast(FramedContent, content), _NO_KEY, expiry, view_once)
    return plan_framed(framed, ends, fallback)


def plan_framed(
    framed: Framed, ends: Mapping[Address, frozenset[int]], fallback: str | None
) -> Plan:
    """Return the same of what goes in a frame; its key and its own fallback do not count."""
    content = framed.content
    needs = framed_needs(content, framed.expiry, view_once=framed.view_once)
    lacking = _lacking(needs, ends)
    if not lacking:
        return Plan(Outcome.LOSS_FREE)
    refused = tuple(loss for loss in lacking if loss.capability.protects)
    if refused:
        return Plan(Outcome.REFUSED, refused)
    plain = tuple(sorted(end for end in ends if Capability.POST not in ends[end]))
    shown = fallback or fallback_text(content)  # a frame says nothing where it is empty
    if not isinstance(content, Text):
        return Plan(Outcome.LOSSY, lacking, plain, shown)
    if content.reply_to is None:
        return Plan(Outcome.LOSS_FREE, (), plain, shown)
    return Plan(Outcome.MINOR, lacking, plain, shown)


def goes_alone(content: AnyContent, expiry: Expiry | None, *, view_once: bool) -> bool:
    """Whether it goes without a frame where a conversation allows it, and so needs nothing."""
    if expiry is not None or view_once:
        return False
    if isinstance(content, Text):
        return not content.mentions and content.reply_to is None
    return isinstance(content, Bytes | Consent)


def framed_needs(
    content: FramedContent, expiry: Expiry | None, *, view_once: bool
) -> frozenset[Capability]:
    """What a device must announce to show a content that is in a frame, and to obey the frame."""
    needs = {Capability.POST, content.CAPABILITY}
    if expiry is not None:
        needs.add(Capability.EXPIRY)
    if view_once:
        needs.add(Capability.VIEW_ONCE)
    return frozenset(needs)


def expiry_for(content: AnyContent, expiry: Expiry | None) -> Expiry | None:
    """Return when a content is to be gone: replies, reactions and edits end with their target.

    Args:
        content: what is to be sent.
        expiry: what the caller wants, or None. A reply may have one of its own.

    Raises:
        InvalidArgument: a reaction or an edit with another expiry than its target has.
    """
    if isinstance(content, Reaction | Edit):
        of_target = content.target.expiry
        if expiry is not None and of_target not in (None, expiry):
            raise InvalidArgument("expiry of a reaction or an edit is that of its target")
        return expiry or of_target
    if expiry is None and isinstance(content, Text | Media) and content.reply_to is not None:
        return content.reply_to.expiry
    return expiry


def plain_text(framed: Framed) -> Text | None:
    """Return what a device gets that reads no frames; None: nothing, of a delete.

    A frame has no fallback if all devices showed the content when it was made.
    """
    if isinstance(framed.content, Delete):
        return None
    if isinstance(framed.content, Text):
        return Text(framed.content.text)
    return Text(framed.fallback or fallback_text(framed.content))


def fallback_text(content: FramedContent) -> str:
    """Return what a content is in plain text, at most 1,024 bytes of UTF-8.

    Raises:
        InvalidArgument: it goes in no frame.
    """
    encoded = describe_inner(content).encode()
    if len(encoded) <= MAX_FALLBACK_BYTES:
        return encoded.decode()
    room = MAX_FALLBACK_BYTES - len(_ELLIPSIS.encode())
    return encoded[:room].decode(errors="ignore") + _ELLIPSIS


def _require_ends(ends: Mapping[Address, frozenset[int]]) -> None:
    require_type("ends", ends, Mapping)
    for end, ids in ends.items():
        require_type("ends", end, Address)
        require_type("ends", ids, Set)


def _lacking(
    needs: frozenset[Capability], ends: Mapping[Address, frozenset[int]]
) -> tuple[Loss, ...]:
    has = {end: ids if Capability.POST in ids else _NOTHING for end, ids in ends.items()}
    losses = (
        Loss(need, tuple(sorted(end for end, ids in has.items() if need not in ids)))
        for need in sorted(needs)
    )
    return tuple(loss for loss in losses if loss.devices)
