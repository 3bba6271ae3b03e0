# SPDX-License-Identifier: Apache-2.0
"""What `e2ecross doctor` prints: facts, findings, refusals.

Rules:
- Numbers only: no key, address or content; nor how a database is reached.
"""

import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from e2ecross.cli.doctor_finding import DAY_MS, Finding
from e2ecross.cli.doctor_groups import group_facts
from e2ecross.device.health import StoreHealth
from e2ecross.device.health_accounts import OwnListHealth

__all__ = ["facts", "findings", "line", "refuse"]

_WIDTH: Final = 78
_LABEL_WIDTH: Final = 20
_MINUTE_MS: Final = 60 * 1000
_UNITS: Final = (("days", DAY_MS), ("hours", 60 * _MINUTE_MS), ("minutes", _MINUTE_MS))


def refuse(what: str, why: str) -> int:
    """Tell in one line why a store cannot be opened; returns the exit code."""
    text = " ".join(why.split()).encode("ascii", "backslashreplace").decode()
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    print(f"e2ecross doctor: {what}: {shown}", file=sys.stderr)
    return 2


def findings(problems: Sequence[Finding], notes: Sequence[Finding]) -> Iterator[str]:
    """Give the lines of what was found."""
    for title, found in (("Problems", problems), ("Worth knowing", notes)):
        if found:
            yield ""
            yield title
            for finding in found:
                yield from textwrap.wrap(
                    finding.text, _WIDTH, initial_indent="  - ", subsequent_indent="    "
                )
    if not problems:
        yield ""
        yield "No problems found."


def facts(health: StoreHealth) -> Iterator[str]:
    """Give the lines of a store's health."""
    prekeys, sessions = health.prekeys, health.sessions
    damaged = sum(table.damaged + table.too_new for table in health.tables)
    yield line("records", f"{sum(t.records for t in health.tables)}, {damaged} unreadable")
    if health.device is None:
        yield line("device", "none")
    else:
        registered = "registered" if health.device.is_registered else "not registered"
        waiting = "a publication unconfirmed" if health.device.is_publication_unconfirmed else ""
        yield line("device", f"{registered}, {waiting}" if waiting else registered)
        adopted = "" if health.device.is_epoch_adopted else ", the back end was not asked yet"
        yield line("epoch", f"{health.device.epoch}{adopted}")
    age = "none" if prekeys.signed_age_ms is None else _days(prekeys.signed_age_ms)
    yield line("signed prekey", f"{age}; {prekeys.replaced} older ones kept")
    age_ms = prekeys.last_resort_age_ms
    yield line("last-resort prekey", "none" if age_ms is None else _days(age_ms))
    counts = f"{prekeys.one_time} stored, and {prekeys.kyber_one_time} of Kyber"
    yield line("one-time prekeys", counts)
    oldest = sessions.oldest_unacknowledged_ms
    since = "" if oldest is None else f", the oldest {_days(oldest)}"
    yield line("sessions", f"{sessions.current} current, {sessions.archived} archived")
    yield line("", f"{sessions.unacknowledged} without answer{since}; {sessions.held} held")
    if sessions.put_away:
        yield line("", f"{sessions.put_away} put away by a restore")
    yield line("skipped keys", f"{sessions.skipped_keys} stored")
    trust = ", ".join(f"{count} {state}" for state, count in health.identities.items())
    stale = f"; {health.stale_identities} stale" if health.stale_identities else ""
    yield line("identities", trust + stale)
    if health.own_list is not None:
        yield from _own_list_facts(health.own_list)
    accounts = health.accounts
    lists = f"{accounts.known} known, {accounts.expired} too old, {accounts.forked} in conflict"
    yield line("lists of others", lists)
    queues = health.queues
    yield line("waiting", f"{queues.outbox} in the outbox, {queues.inbox} in the inbox")
    named = (("outbox", queues.outbox_oldest_ms), ("inbox", queues.inbox_oldest_ms))
    for where, age_ms in named:
        if age_ms is not None:
            yield line("", f"the oldest in the {where} {_age(age_ms)}")
    oldest = health.uploads.oldest_ms
    since = "" if oldest is None else f", the oldest {_days(oldest)}"
    yield line("", f"{health.uploads.waiting} to be uploaded{since}")
    for label, text in group_facts(health.groups, health.sender_keys):
        yield line(label, text)


def _own_list_facts(own_list: OwnListHealth) -> Iterator[str]:
    if own_list.age_ms is None:
        yield line("own list", "none")
        return
    what = f"number {own_list.seq}, {_days(own_list.age_ms)}; {_devices(own_list.devices)}"
    published = "" if own_list.is_published else ", perhaps not published"
    yield line("own list", what + published)
    if own_list.without_keys:
        yield line("", f"{_devices(own_list.without_keys)} without keys so far")


def line(label: str, text: str) -> str:
    """Give a line: what it is about, and what there is to say."""
    return f"  {label:<{_LABEL_WIDTH}}{text}"


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number} devices"


def _days(age_ms: int) -> str:
    if age_ms < 0:
        return "dated in the future"
    days = age_ms // DAY_MS
    return f"{days} day old" if days == 1 else f"{days} days old"


def _age(age_ms: int) -> str:
    if age_ms < 0:
        return "dated in the future"
    for unit, unit_ms in _UNITS:
        if age_ms >= 2 * unit_ms:
            return f"{age_ms // unit_ms} {unit} old"
    return "some seconds old"
