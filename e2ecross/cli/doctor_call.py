# SPDX-License-Identifier: Apache-2.0
"""`e2ecross doctor`: what is to be examined, a file or a database, and with which options."""

import os
from collections.abc import Sequence

from e2ecross.cli.conninfo import DATABASE, is_conninfo
from e2ecross.cli.doctor_lines import refuse

__all__ = ["call_doctor"]


def call_doctor(
    store: str | None,
    *,
    name: str | None,
    key_files: Sequence[str],
    passphrase_file: str | None,
    json: bool,
) -> int:
    """Examine what is named.

    Args:
        store: a file, or how a database is reached; None: as the environment says.
        name: which store of a database; None: `default`.
        key_files: for a file the one that has its key; for a database `ID=FILE` for each.
        passphrase_file: for a file.
        json: print a JSON document instead of text.

    Returns:
        The exit code.
    """
    if store is None:
        conninfo = os.environ.get(DATABASE)
        if not conninfo:
            return refuse("nothing to examine", f"name a file or a database, or set {DATABASE}")
    elif not is_conninfo(store):
        if name is not None:
            return refuse("--name", "is of a database: a file has one store")
        if len(key_files) > 1:
            return refuse("--key-file", "a file has one key")
        from e2ecross.cli.doctor import run_doctor

        key_file = key_files[0] if key_files else None
        return run_doctor(store, key_file=key_file, passphrase_file=passphrase_file, json=json)
    else:
        conninfo = store
    if passphrase_file is not None:
        return refuse("--passphrase-file", "is of a file: a database's stores have keys")
    from e2ecross.cli.doctor_database import run_database_doctor

    chosen = "default" if name is None else name
    return run_database_doctor(conninfo, name=chosen, key_files=key_files, json=json)
