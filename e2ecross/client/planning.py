# SPDX-License-Identifier: Apache-2.0
"""What a message needs before it can be encrypted: lists of devices, and sessions with them.

Rules:
- One question for all accounts that something is needed of, in as few calls as they fit.
- A list is verified and judged before a key of its devices is used. One that is not acceptable
  leaves the one that is held; where none is held, nothing is sent.
- A list that takes a device out is accepted after what waits in the own mailbox was taken in: what
  that device has sent before can still be read.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.client.attempts import Failure, try_parts
from e2ecross.client.depositing import FINAL
from e2ecross.client.link import Link
from e2ecross.client.taking_in import take_in_what_waits
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import without_frames
from e2ecross.device.bundles import NO_NEWS, BundleNews, start_from_bundles
from e2ecross.device.device_lists import (
    ACCEPTED,
    find_without_session,
    read_fetched_list,
    would_remove,
)
from e2ecross.device.hints import note_checked
from e2ecross.device.messages import has_session
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    NotRegistered,
    RemoteError,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.exchange import MAX_USERS_IN_CALL, KeysWanted, UserKeys
from e2ecross.wire.limits import MAX_LISTED_DEVICES

__all__ = ["ensure_session", "fetch_lists", "prepare"]

_STARTED_AT_ONCE: Final = 32
"""Sessions that are kept in one transaction: others who use the store wait for some 10 ms."""
_NO_MEMBERS: Final[Mapping[UserId, PublicKey]] = MappingProxyType({})

_Wanted = Mapping[UserId, Collection[int] | None]


def prepare(
    link: Link, needed: Iterable[KeysNeeded], asked: KeysAsked
) -> tuple[dict[Address, BundleNews], Failure | None]:
    """Fetch lists and keys, and start the sessions that messages need.

    Args:
        link: to the back end.
        needed: by messages.
        asked: what was asked for them before; updated.

    Returns:
        What lists and bundles have brought; and why it was given up to reach the back end, if it
        was.

    Raises:
        NotRegistered: nobody gets keys.
        StoreError: the store cannot be read or written.
    """
    needed = list(needed)
    wanted = _wanted_of(needed)
    members = {user: key for each in needed for user, key in each.members.items()}
    answers, failure = _fetch(link, wanted)
    asked.lost = _why_lost(answers.values()) or asked.lost
    lists = _take_lists(link, answers, members)
    asked.refused |= lists.refused
    asked.differing |= lists.differing
    asked.users.update(wanted)
    bundles: dict[Address, PreKeyBundle | E2ECrossError] = {}
    lacking = find_without_session(link.context, wanted)
    for user, devices in wanted.items():
        addresses = lacking[user]
        if addresses is None and user in members:  # nobody is a member of a group without one
            addresses, reason = [], lists.unreadable.get(user, answers[user])
            if isinstance(reason, E2ECrossError):
                asked.refused.setdefault(user, reason)
        elif addresses is None:  # it has no list
            addresses = [
                Address(user.app, user.user, number)
                for number in ({PRIMARY} if devices is None else devices)
            ]
            answers[user] = lists.unreadable.get(user, answers[user])
        elif devices is not None:  # of others that it lists now nothing was asked yet
            addresses = [each for each in addresses if each.device in devices]
        for address in addresses:
            bundles[address] = _bundle(answers[user], address)
    news = {Address(u.app, u.user): BundleNews(identity_changed=True) for u in lists.changed}
    for address, outcome in zip(bundles, _start(link, list(bundles.values())), strict=True):
        if not isinstance(outcome, E2ECrossError):
            changed = outcome.identity_changed or address in news
            news[address] = replace(outcome, identity_changed=changed)
            continue
        asked.unreachable[address] = outcome
        if isinstance(outcome, UntrustedIdentity) and lacking[address.user_id] is not None:
            asked.refused[address.user_id] = outcome  # it is the account's key that has changed
    # Of who cannot be reached at all nothing is kept.
    strangers = {address.user_id for address in bundles} - {address.user_id for address in news}
    # Where keys alone were asked for, the next list that it tells of is asked for all the same.
    for_list = [user for user in lists.unchanged if user not in strangers and not wanted[user]]
    _note_checked(link, for_list)
    return news, failure


def _start(
    link: Link, bundles: Sequence[PreKeyBundle | E2ECrossError]
) -> list[BundleNews | E2ECrossError]:
    outcomes: list[BundleNews | E2ECrossError] = []
    for start in range(0, len(bundles), _STARTED_AT_ONCE):
        outcomes += start_from_bundles(link.context, bundles[start : start + _STARTED_AT_ONCE])
    return outcomes


def fetch_lists(link: Link, users: Sequence[UserId]) -> tuple[set[UserId], E2ECrossError | None]:
    """Fetch the lists of accounts, and accept those that are newer.

    What is not acceptable is ignored.

    Returns:
        Whose lists were newer; and an error, if the back end has not answered for all of them.

    Raises:
        NotRegistered: nobody gets lists.
        StoreError: the store cannot be read or written.
    """
    answers, _ = _fetch(link, dict.fromkeys(users, ()))
    lists = _take_lists(link, answers)
    _note_checked(link, lists.unchanged)
    errors = [
        each
        for each in (*answers.values(), *lists.refused.values())
        if isinstance(each, BackendError | RemoteError) and not _is_answer(each)
    ]
    return lists.newer, errors[0] if errors else None


def ensure_session(link: Link, address: Address, *, fresh: bool) -> BundleNews:
    """Start a session from a new bundle, unless there is one to send with.

    Args:
        link: to the back end.
        address: the peer.
        fresh: start one in any case: the peer, or this device, may have lost the others.

    Returns:
        What the bundle has brought; nothing if none was needed.

    Raises:
        UntrustedIdentity: the bundle has another identity key than the accepted one.
        UnlistedDevice: it is not of a device that its account lists.
        EnvelopeMismatch: the bundle is of somebody else.
        VersionDowngrade: the bundle has no post-quantum keys, and the policy demands them.
        RemoteError: the bundle is not acceptable.
        BackendError: the back end has no bundle, or cannot be reached.
    """
    if not fresh and has_session(link.context, address):
        return NO_NEWS
    user = address.user_id
    answers, _ = _fetch(link, {user: {address.device}})
    lists = _take_lists(link, answers)
    refused = lists.refused.get(user) or lists.unreadable.get(user)
    (news,) = start_from_bundles(link.context, [refused or _bundle(answers[user], address)])
    if isinstance(news, E2ECrossError):
        raise news
    return news


def _wanted_of(needed: Iterable[KeysNeeded]) -> dict[UserId, Sequence[int] | None]:
    """Put together what messages need, as far as one call takes it."""
    wanted: dict[UserId, set[int] | None] = {}
    for each in needed:
        for user, numbers in each.wanted.items():
            before = wanted.get(user, set())
            is_open = numbers is None or before is None
            wanted[user] = None if is_open else {*(before or ()), *(numbers or ())}
    # More devices than a list has can be named of an account without one: the rest comes later.
    return {
        user: None if numbers is None else sorted(numbers)[:MAX_LISTED_DEVICES]
        for user, numbers in wanted.items()
    }


def _fetch(
    link: Link, wanted: _Wanted
) -> tuple[dict[UserId, UserKeys | E2ECrossError], Failure | None]:
    answers: dict[UserId, UserKeys | E2ECrossError] = {}

    def fetch(part: Sequence[UserId]) -> Failure | None:
        questions = [KeysWanted(user, wanted[user]) for user in part]
        try:
            keys = link.backend.fetch_keys(link.context.address, link.token, questions)
        except NotRegistered:
            raise
        except (BackendError, RemoteError) as error:
            return error
        answers.update(zip(part, keys, strict=True))
        return None

    failure = try_parts(list(wanted), MAX_USERS_IN_CALL, fetch, answers.__setitem__)
    return answers, failure


class _Lists(NamedTuple):
    """What became of lists that the back end has handed out.

    Attributes:
        newer: accounts whose lists were accepted.
        changed: those of them whose key has changed, which the policy has accepted.
        unchanged: those of which the back end had nothing newer.
        refused: accounts whose key has changed, or whose list cannot be accepted now, and why.
        unreadable: accounts of which there was none that is acceptable, and why.
        differing: accounts that are not known, and have another key than the member of a group.
    """

    newer: set[UserId]
    changed: set[UserId]
    unchanged: list[UserId]
    refused: dict[UserId, E2ECrossError]
    unreadable: dict[UserId, E2ECrossError]
    differing: set[UserId]


def _take_lists(
    link: Link,
    answers: Mapping[UserId, UserKeys | E2ECrossError],
    members: Mapping[UserId, PublicKey] = _NO_MEMBERS,
) -> _Lists:
    context, has_taken_in = link.context, False
    lists = _Lists(set(), set(), [], {}, {}, set())
    for user, answer in answers.items():
        if isinstance(answer, UserKeys) and answer.device_list:
            try:
                if not has_taken_in and would_remove(context, user, answer.device_list):
                    take_in_what_waits(link, answers)
                    has_taken_in = True
                fetched = read_fetched_list(context, user, answer.device_list, members.get(user))
            except NotRegistered:
                raise
            except BackendError as error:  # what waits cannot be taken in: not now
                lists.refused[user] = without_frames(error)
                continue
            except UntrustedIdentity as error:
                lists.refused[user] = without_frames(error)
                if user in members:
                    lists.differing.add(user)
            except RemoteError as error:
                lists.unreadable[user] = without_frames(error)
            else:
                if fetched.verdict in ACCEPTED:
                    lists.newer.add(user)
                if fetched.identity_changed:
                    lists.changed.add(user)
        if _is_answer(answer) and user not in lists.newer:
            lists.unchanged.append(user)
    return lists


def _why_lost(answers: Iterable[UserKeys | E2ECrossError]) -> BackendError | None:
    """Why the back end has not answered for some, if it has not."""
    lost = (each for each in answers if isinstance(each, BackendError))
    return next((each for each in lost if not isinstance(each, FINAL)), None)


def _is_answer(answer: UserKeys | E2ECrossError) -> bool:
    """Whether the back end has said what it has of an account, or that it has nothing."""
    return isinstance(answer, UserKeys | UnknownRecipient)


def _note_checked(link: Link, users: Sequence[UserId]) -> None:
    if users:
        note_checked(link.context, users)


def _bundle(answer: UserKeys | E2ECrossError, address: Address) -> PreKeyBundle | E2ECrossError:
    if isinstance(answer, E2ECrossError):
        return answer
    for bundle in answer.bundles:
        if bundle.address == address:
            return bundle
    return UnknownRecipient(f"{address} has published no keys: it has to register first")
