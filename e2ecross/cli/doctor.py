# SPDX-License-Identifier: Apache-2.0
"""`e2ecross doctor STORE`: checks a device's store, and says what to do.

Rules:
- The store is only read (`stores/sqlite_reading.py`); a file that is missing is not created.
- Numbers only: no key, address or content is printed, so that the output may go into a bug report.
- Exit codes: 0 healthy, 1 problems found, 2 the store cannot be opened (one line on stderr).
- Ages are measured by the default `Policy`; an app with another one reads them with that in mind.

With `--json` the document on stdout has `store` (`schema_version`, `is_sealed`, `is_intact`),
`health` (`device.health.StoreHealth` as an object, or null when the records cannot be read),
`problems` and `notes` (lists of objects with `code` and `text`).
"""

import json as json_module
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Final, NamedTuple

from e2ecross.cli.doctor_advice import find_notes, find_problems
from e2ecross.cli.doctor_finding import DAY_MS, Finding
from e2ecross.cli.doctor_groups import group_facts
from e2ecross.cli.key_files import BadKeyFile, read_key, read_passphrase
from e2ecross.device.health import StoreHealth, read_health
from e2ecross.device.health_accounts import OwnListHealth
from e2ecross.errors import E2ECrossError, StoreCorrupted, StoreError, WrongStoreKey
from e2ecross.state.context import system_clock
from e2ecross.state.policy import Policy
from e2ecross.stores.sqlite_reading import StoreFile, read_store_file

__all__ = ["run_doctor"]

_WIDTH: Final = 78
_LABEL_WIDTH: Final = 20
_OPTIONS: Final = "here: --key-file FILE gives the key, --passphrase-file FILE the passphrase"


class _Report(NamedTuple):
    schema_version: int
    is_sealed: bool
    is_intact: bool
    health: StoreHealth | None
    problems: list[Finding]
    notes: list[Finding]


def run_doctor(
    name: str,
    *,
    key_file: str | None = None,
    passphrase_file: str | None = None,
    json: bool = False,
    clock: Callable[[], int] = system_clock,
) -> int:
    """Check a store and print what was found.

    Args:
        name: the store's file.
        key_file: a file with its store key, if it is sealed: 32 bytes, or 64 hexadecimal digits.
        passphrase_file: a file with its passphrase, if it is sealed with one: one line in UTF-8.
        json: print a JSON document instead of text.
        clock: milliseconds since 1970.

    Returns:
        The exit code; when it is 2, stderr tells why in one line.
    """
    try:
        key = None if key_file is None else read_key(key_file)
        passphrase = None if passphrase_file is None else read_passphrase(passphrase_file)
        with read_store_file(name, key=key, passphrase=passphrase) as file:
            report = _examine(file, Policy(), clock())
    except BadKeyFile as error:
        return _refuse(key_file or passphrase_file or "", str(error))
    except WrongStoreKey as error:  # its text is for those who open a store in code
        return _refuse(name, f"{error} ({_OPTIONS})")
    except E2ECrossError as error:
        return _refuse(name, str(error))
    if json:
        print(json_module.dumps(_document(report), indent=2))
    else:
        print("\n".join(_lines(report)))
    return 1 if report.problems else 0


def _examine(file: StoreFile, policy: Policy, now_ms: int) -> _Report:
    health = None
    try:
        health = read_health(file.transaction, policy, now_ms)
    except StoreCorrupted:  # a page, or something that no store wrote: nothing more can be said
        pass
    except StoreError:
        if file.is_intact:  # else a table may be missing
            raise
    is_intact = file.is_intact and health is not None
    return _Report(
        file.schema_version,
        file.is_sealed,
        is_intact,
        health,
        list(find_problems(health, policy, is_intact=is_intact)),
        [] if health is None else list(find_notes(health)),
    )


def _refuse(name: str, why: str) -> int:
    text = " ".join(why.split()).encode("ascii", "backslashreplace").decode()
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    print(f"e2ecross doctor: {name!a}: {shown}", file=sys.stderr)
    return 2


def _document(report: _Report) -> dict[str, object]:
    return {
        "store": {
            "schema_version": report.schema_version,
            "is_sealed": report.is_sealed,
            "is_intact": report.is_intact,
        },
        "health": None if report.health is None else asdict(report.health),
        "problems": [finding._asdict() for finding in report.problems],
        "notes": [finding._asdict() for finding in report.notes],
    }


def _lines(report: _Report) -> Iterator[str]:
    yield "The store"
    sealed = "records are encrypted" if report.is_sealed else "records are not encrypted"
    yield _line("schema", f"{report.schema_version}, {sealed}")
    yield _line("file", "intact" if report.is_intact else "damaged")
    if report.health is not None:
        yield from _facts(report.health)
    for title, findings in (("Problems", report.problems), ("Worth knowing", report.notes)):
        if findings:
            yield ""
            yield title
            for finding in findings:
                yield from textwrap.wrap(
                    finding.text, _WIDTH, initial_indent="  - ", subsequent_indent="    "
                )
    if not report.problems:
        yield ""
        yield "No problems found."


def _facts(health: StoreHealth) -> Iterator[str]:
    prekeys, sessions = health.prekeys, health.sessions
    damaged = sum(table.damaged + table.too_new for table in health.tables)
    yield _line("records", f"{sum(t.records for t in health.tables)}, {damaged} unreadable")
    if health.device is None:
        yield _line("device", "none")
    else:
        registered = "registered" if health.device.is_registered else "not registered"
        waiting = "a publication unconfirmed" if health.device.is_publication_unconfirmed else ""
        yield _line("device", f"{registered}, {waiting}" if waiting else registered)
        adopted = "" if health.device.is_epoch_adopted else ", the back end was not asked yet"
        yield _line("epoch", f"{health.device.epoch}{adopted}")
    age = "none" if prekeys.signed_age_ms is None else _days(prekeys.signed_age_ms)
    yield _line("signed prekey", f"{age}; {prekeys.replaced} older ones kept")
    age_ms = prekeys.last_resort_age_ms
    yield _line("last-resort prekey", "none" if age_ms is None else _days(age_ms))
    counts = f"{prekeys.one_time} stored, and {prekeys.kyber_one_time} of Kyber"
    yield _line("one-time prekeys", counts)
    oldest = sessions.oldest_unacknowledged_ms
    since = "" if oldest is None else f", the oldest {_days(oldest)}"
    yield _line("sessions", f"{sessions.current} current, {sessions.archived} archived")
    yield _line("", f"{sessions.unacknowledged} without answer{since}; {sessions.held} held")
    if sessions.put_away:
        yield _line("", f"{sessions.put_away} put away by a restore")
    yield _line("skipped keys", f"{sessions.skipped_keys} stored")
    trust = ", ".join(f"{count} {state}" for state, count in health.identities.items())
    stale = f"; {health.stale_identities} stale" if health.stale_identities else ""
    yield _line("identities", trust + stale)
    if health.own_list is not None:
        yield from _own_list_facts(health.own_list)
    accounts = health.accounts
    lists = f"{accounts.known} known, {accounts.expired} too old, {accounts.forked} in conflict"
    yield _line("lists of others", lists)
    yield _line("waiting", f"{health.outbox} in the outbox, {health.inbox} in the inbox")
    oldest = health.uploads.oldest_ms
    since = "" if oldest is None else f", the oldest {_days(oldest)}"
    yield _line("", f"{health.uploads.waiting} to be uploaded{since}")
    for label, text in group_facts(health.groups, health.sender_keys):
        yield _line(label, text)


def _own_list_facts(own_list: OwnListHealth) -> Iterator[str]:
    if own_list.age_ms is None:
        yield _line("own list", "none")
        return
    what = f"number {own_list.seq}, {_days(own_list.age_ms)}; {_devices(own_list.devices)}"
    published = "" if own_list.is_published else ", perhaps not published"
    yield _line("own list", what + published)
    if own_list.without_keys:
        yield _line("", f"{_devices(own_list.without_keys)} without keys so far")


def _line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL_WIDTH}}{text}"


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number} devices"


def _days(age_ms: int) -> str:
    if age_ms < 0:
        return "dated in the future"
    days = age_ms // DAY_MS
    return f"{days} day old" if days == 1 else f"{days} days old"
