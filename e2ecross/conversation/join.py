# SPDX-License-Identifier: Apache-2.0
"""`join`: what a message changes of what is known of another, or of itself.

Rules:
- In whatever order messages come, and however often, the same slot comes of them. Only of an
  account's 17th act on one message does the order matter.
- Who may not edit or delete changes nothing. Nor does an act on a digest that is not that of the
  message: it is about something that was not said here.
- A delete takes everything with it, and two contents under one id take each other.
- Nobody's acts crowd out those of somebody else, nor a delete.
"""

from dataclasses import replace

from e2ecross.address import UserId
from e2ecross.conversation.fact import ACTS, Act, Fact, Post
from e2ecross.conversation.slot import DoneAct, Place, PostState, Slot
from e2ecross.wire.content import Answer, Delete, Reaction, Receipt, encode_inner
from e2ecross.wire.limits import MAX_ACTS_PER_ACCOUNT
from e2ecross.wire.timeline_records import ActRecord

__all__ = ["gone", "join", "with_receipt"]


def join(slot: Slot, fact: Fact) -> Slot:
    """Return what is known of a message after a fact about it; the same slot if it changes nothing.

    Args:
        slot: of a message that `fact.targets` names.
        fact: the message that came.
    """
    content = fact.content
    if isinstance(content, Receipt):
        return with_receipt(slot, fact.author, content.what)
    if isinstance(content, ACTS):
        return _with_act(slot, fact, content)
    return _with_post(slot, fact, content)


def gone(slot: Slot) -> Slot:
    """Return the slot of a message that was opened, or whose time is over."""
    if slot.content is None:
        return slot
    return replace(slot, state=PostState.GONE, content=None, acts={})


def with_receipt(slot: Slot, account: UserId, what: int) -> Slot:
    """Return what is known after an account has got (1) or read (2) a message."""
    _, before = slot.receipts.get(str(account), (None, 0))
    if account == slot.author or before >= what:
        return slot
    return replace(slot, receipts={**slot.receipts, str(account): (account, what)})


def _with_post(slot: Slot, fact: Fact, content: Post | None) -> Slot:
    if not slot.state:
        state = PostState.GONE if content is None else PostState.HERE
        return _settled(
            Slot(
                *(slot.author, slot.key, state, fact.sent_at_ms, fact.digest),
                *(content, slot.acts, slot.receipts),
            )
        )
    sent_at_ms = min(slot.sent_at_ms, fact.sent_at_ms)
    if slot.state is PostState.CONFLICTING:
        return replace(slot, sent_at_ms=sent_at_ms)
    if fact.digest == slot.digest:
        return slot
    return Slot(*(slot.author, slot.key, PostState.CONFLICTING, sent_at_ms), receipts=slot.receipts)


def _with_act(slot: Slot, fact: Fact, act: Act) -> Slot:
    if not _may_act(slot, fact, act):
        return slot
    done = _done(fact, act, moderator=fact.author != slot.author)
    place = (done.record.kind, str(fact.author), act.target.digest)
    before = slot.acts.get(place)
    if before is not None and not _replaces(done, before):
        return slot
    acts = _within_bound({**slot.acts, place: done}, place)
    if acts.get(place) is not done:
        return slot
    return _settled(replace(slot, acts=acts))


def _may_act(slot: Slot, fact: Fact, act: Act) -> bool:
    """Whether the act of this account can have an effect on a message of that author."""
    if fact.author == slot.author or isinstance(act, Reaction | Answer):
        return True
    return isinstance(act, Delete) and fact.moderator


def _done(fact: Fact, act: Act, *, moderator: bool) -> DoneAct:
    kind, body = encode_inner(act)
    name = (b"", b"") if isinstance(act, Delete) else (fact.message_id, fact.digest)
    is_moderators = moderator and isinstance(act, Delete)
    record = ActRecord(kind, fact.author, *name, body, is_moderators, fact.sent_at_ms)
    return DoneAct(act, record, record.size)


def _replaces(done: DoneAct, before: DoneAct) -> bool:
    if done.is_delete:
        return done.record.sent_at_ms < before.record.sent_at_ms
    return done.rank > before.rank


def _within_bound(acts: dict[Place, DoneAct], place: Place) -> dict[Place, DoneAct]:
    """Leave the least act of the account out, if it has too many."""
    is_delete = acts[place].is_delete
    own = [
        each for each, done in acts.items() if each[1] == place[1] and done.is_delete is is_delete
    ]
    if len(own) > MAX_ACTS_PER_ACCOUNT:
        del acts[min(own, key=lambda each: (acts[each].rank, each))]
    return acts


def _settled(slot: Slot) -> Slot:
    """Drop what was done to something else than the message, or to one that is gone by now."""
    if not slot.state or not slot.acts:
        return slot
    acts = {place: done for place, done in slot.acts.items() if place[2] == slot.digest}
    deletes = {place: done for place, done in acts.items() if done.is_delete}
    if deletes:
        return replace(slot, state=PostState.HERE, content=None, acts=deletes)
    return replace(slot, acts=acts if slot.state is PostState.HERE else {})
