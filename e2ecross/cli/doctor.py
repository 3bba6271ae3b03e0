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
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Final, NamedTuple

from e2ecross.cli.doctor_advice import find_notes, find_problems
from e2ecross.cli.doctor_finding import Finding
from e2ecross.cli.doctor_lines import facts, findings, line, refuse
from e2ecross.cli.key_files import BadKeyFile, read_key, read_passphrase
from e2ecross.device.health import StoreHealth, read_health
from e2ecross.errors import E2ECrossError, StoreCorrupted, StoreError, WrongStoreKey
from e2ecross.state.context import system_clock
from e2ecross.state.policy import Policy
from e2ecross.stores.sqlite_reading import StoreFile, read_store_file

__all__ = ["run_doctor"]

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
        return refuse(f"{key_file or passphrase_file or ''!a}", str(error))
    except WrongStoreKey as error:  # its text is for those who open a store in code
        return refuse(f"{name!a}", f"{error} ({_OPTIONS})")
    except E2ECrossError as error:
        return refuse(f"{name!a}", str(error))
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
    yield line("schema", f"{report.schema_version}, {sealed}")
    yield line("file", "intact" if report.is_intact else "damaged")
    if report.health is not None:
        yield from facts(report.health)
    yield from findings(report.problems, report.notes)
