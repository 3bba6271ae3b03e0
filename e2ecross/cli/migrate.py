# SPDX-License-Identifier: Apache-2.0
"""`e2ecross migrate CONNINFO`: gives a PostgreSQL database the tables of this release.

Rules:
- Workers never change the schema: this does, as the owner of it.
- A conninfo may hold a password: it is not printed, and may come from the environment.
"""

import os
import sys

from e2ecross.cli.conninfo import DATABASE
from e2ecross.errors import E2ECrossError

__all__ = ["run_migrate"]


def run_migrate(conninfo: str | None) -> int:
    """Run what is missing, and print what was done.

    Args:
        conninfo: how the database is reached; None: as the environment says.

    Returns:
        The exit code; when it is 1, stderr tells why in one line.
    """
    found = os.environ.get(DATABASE) if conninfo is None else conninfo
    if not found:
        return _refuse(f"give a conninfo, or set {DATABASE}")
    try:
        from e2ecross.stores.postgres_tables import migrate
    except ImportError:
        return _refuse("PostgreSQL needs the extra: pip install 'e2ecross[postgres]'")
    try:
        done = migrate(found)
    except E2ECrossError as error:
        return _refuse(str(error))
    print("the schema is that of this release" + ("" if done else " already: nothing to do"))
    return 0


def _refuse(why: str) -> int:
    print(f"e2ecross: {why}", file=sys.stderr)
    return 1
