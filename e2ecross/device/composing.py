# SPDX-License-Identifier: Apache-2.0
"""From what an app wants to send to what each device gets of it.

Rules:
- What each device can show is read in the transaction that encrypts: a plan that was made before
  counts for nothing there.
- What protects somebody goes to devices that obey it, or to none; what would be lost goes only if
  the caller has agreed to it.
- Own devices always get the content itself, and it is kept so.
- A text that is nothing more goes as it always did: nothing is asked of anybody's list for it.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, cast

from e2ecross.address import Address
from e2ecross.arguments import require_type, require_whole_number
from e2ecross.conversation.negotiation import (
    Outcome,
    Plan,
    expiry_for,
    framed_needs,
    goes_alone,
    plain_text,
    plan_framed,
)
from e2ecross.crypto.entropy import EntropySource
from e2ecross.errors import ContentRefused, InvalidArgument, LossyContent
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.capabilities import Capability, decode_capabilities
from e2ecross.wire.content import (
    AnyContent,
    Consent,
    ConsentGrant,
    Expiry,
    Framed,
    FramedContent,
    Text,
    is_sendable,
)
from e2ecross.wire.content.frame import MAX_FALLBACK_BYTES, OPENING_KEY_BYTES
from e2ecross.wire.text import require_text

__all__ = [
    "ALL_SHOWN",
    "Composed",
    "Draft",
    "capabilities_of",
    "compose",
    "draft_of",
    "forms_for",
    "plan_of",
    "require_allowed",
]

_NO_KEY: Final = bytes(OPENING_KEY_BYTES)
_REMEMBERED: Final = 256
"""Sets of capabilities that need not be decoded for each message: a few bytes each."""

ALL_SHOWN: Final = Plan(Outcome.LOSS_FREE)
"""Of what needs nothing."""


class Draft(NamedTuple):
    """What an app wants to send, checked.

    Attributes:
        content: what it says.
        blank: the same as it travels, but for its key and its fallback: what a message id is used
            for. Itself, where it goes without a frame.
        expiry: when it is to be gone, or None; of a reply, a reaction or an edit as its target.
        view_once: it is to be looked at once.
        fallback: what is shown in its place; None or empty: made of it.
        allow_lossy: the user has agreed to what is lost.
        purpose: what the recipient has to have consented to, 1 to 4; 0: nothing.
    """

    content: AnyContent
    blank: AnyContent
    expiry: Expiry | None = None
    view_once: bool = False
    fallback: str | None = None
    allow_lossy: bool = False
    purpose: int = 0

    @property
    def goes_alone(self) -> bool:
        """Whether it goes without a frame, and needs nothing of anybody."""
        return self.blank is self.content


class Composed(NamedTuple):
    """A message as it is kept, and goes to own devices.

    Attributes:
        plan: what the devices of the other side show of it.
        content: it, in its frame, if it has one.
        sent_at_ms: milliseconds since 1970.
        purpose: what the recipient has consented to, 1 to 4; 0: nothing was asked.
    """

    plan: Plan
    content: AnyContent
    sent_at_ms: int
    purpose: int = 0


def draft_of(
    content: AnyContent,
    expiry: Expiry | None = None,
    fallback: str | None = None,
    *,
    view_once: bool = False,
    allow_lossy: bool = False,
    in_group: bool = False,
    purpose: int | None = None,
) -> Draft:
    """Check what an app wants to send; see `Client.send` and `Group.send`.

    In a group a text goes in a frame, also one that is nothing more: else nobody could refer to it.

    Raises:
        InvalidArgument: an argument has the wrong type or length, or the content is none that apps
            send, or cannot have this expiry or be viewed once.
    """
    if not is_sendable(content):
        name = type(content).__name__
        raise InvalidArgument(f'content must be what apps send, such as Text("halo"), not {name}')
    if in_group and isinstance(content, Consent):
        raise InvalidArgument("content is consent, which is between two accounts: not in a group")
    require_type("allow_lossy", allow_lossy, bool)
    require_type("view_once", view_once, bool)
    if purpose is not None:
        low, high = ConsentGrant.SERVICE, ConsentGrant.AUTHENTICATION
        require_whole_number("purpose", purpose, low, high)
    is_framed = in_group and isinstance(content, Text)
    if fallback is None and not is_framed and goes_alone(content, expiry, view_once=view_once):
        return Draft(content, content, allow_lossy=allow_lossy, purpose=purpose or 0)
    if expiry is not None:
        require_type("expiry", expiry, Expiry)
    if fallback is not None:
        require_text("fallback", fallback, MAX_FALLBACK_BYTES)
    expiry = expiry_for(content, expiry)
    blank = content
    if is_framed or not goes_alone(content, expiry, view_once=view_once):
        blank = Framed(cast(FramedContent, content), _NO_KEY, expiry, view_once)
    return Draft(content, blank, expiry, view_once, fallback, allow_lossy, purpose or 0)


def plan_of(draft: Draft, ends: Mapping[Address, frozenset[int]]) -> Plan:
    """Return what devices of the other side, with what each announces, will show."""
    if not isinstance(draft.blank, Framed):
        return ALL_SHOWN
    return plan_framed(draft.blank, ends, draft.fallback)


def require_allowed(draft: Draft, plan: Plan) -> None:
    """Refuse what must not be lost, or what the caller has not agreed to lose.

    Raises:
        ContentRefused: a device does not obey what protects somebody.
        LossyContent: something is lost, and `allow_lossy` is not set.
    """
    if plan.outcome is Outcome.REFUSED:
        raise ContentRefused(plan)
    if plan.outcome is Outcome.LOSSY and not draft.allow_lossy:
        raise LossyContent(plan)


def compose(draft: Draft, plan: Plan, entropy: EntropySource, now_ms: int) -> Composed:
    """Put a content into its frame, if it needs one, under a key that is drawn for it."""
    content = draft.content
    if not draft.goes_alone:
        key = entropy.bytes(OPENING_KEY_BYTES)
        inner = cast(FramedContent, content)
        content = Framed(inner, key, draft.expiry, draft.view_once, plan.fallback)
    return Composed(plan, content, now_ms, draft.purpose)


def capabilities_of(account: AccountRecord | None, address: Address) -> frozenset[int]:
    """Return what a device announces in the list that is held of its account; without one: none."""
    held = None if account is None else account.held
    listed = None if held is None else held.list.find(address.device)
    return frozenset() if listed is None else _decoded(listed.capabilities)


def forms_for(
    content: AnyContent, account: AccountRecord | None, devices: Iterable[Address]
) -> dict[Address, AnyContent]:
    """Return what each of these devices of another account gets; who gets nothing is not there.

    Nothing gets who does not obey what protects somebody, and who would see a delete as a text.

    Args:
        content: the message as it is kept.
        account: what is known of the account.
        devices: of it.
    """
    if not isinstance(content, Framed):
        return dict.fromkeys(devices, content)
    found = {each: _form_for(content, capabilities_of(account, each)) for each in devices}
    return {each: form for each, form in found.items() if form is not None}


def _form_for(content: Framed, capabilities: frozenset[int]) -> AnyContent | None:
    needs = framed_needs(content.content, content.expiry, view_once=content.view_once)
    if any(need.protects and need not in capabilities for need in needs):
        return None
    return content if Capability.POST in capabilities else plain_text(content)


@lru_cache(_REMEMBERED)
def _decoded(data: bytes) -> frozenset[int]:
    return decode_capabilities(data)
