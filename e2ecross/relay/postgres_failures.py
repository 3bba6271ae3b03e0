# SPDX-License-Identifier: Apache-2.0
"""Why a relay's PostgreSQL cannot be used, and what to do about it.

Rules:
- Decided by the SQLSTATE. The driver's own text is never passed on: it may have parts of the
  address with its password, of a statement, or of a row.
"""

from typing import Final

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from e2ecross.errors import BackendError

__all__ = ["backend_error", "not_confirmed", "not_reached"]

_ADVICE: Final = {
    "40001": "others were faster: try again",
    "40P01": "others were faster: try again",
    "55P03": "others held what it needs for too long: try again",
    "57014": "it took too long: try again",
    "25006": "the server is a standby: name the primary",
    "42501": "the role may not: let the owner open the relay once, and grant the role its tables",
    "26000": "a pooler loses prepared statements: let it keep the connection of a transaction",
    "42P05": "a pooler loses prepared statements: let it keep the connection of a transaction",
}
_CLASSES: Final = {
    "57": "the server is being stopped or started: try again",
    "53": "the server lacks room, memory or connections: make room and try again",
    "08": "the connection was lost: try again",
    "XX": "it is damaged: look into the server's log",
}


def backend_error(name: str, error: psycopg.Error) -> BackendError:
    """Say in our terms what went wrong with a database; to be raised outside of its `except`."""
    if isinstance(error, PoolClosed):
        return BackendError("the relay has been closed: open it anew")
    if isinstance(error, PoolTimeout):
        return BackendError(f"the database {name} failed: no connection was free: try again")
    code = error.sqlstate
    if code is None:
        cause = "the connection was lost: try again"
    else:
        cause = _ADVICE.get(code) or _CLASSES.get(code[:2]) or "look into the server's log"
        cause = f"{cause} (SQLSTATE {code})"
    return BackendError(f"the database {name} failed: {cause}")


def not_confirmed(name: str) -> BackendError:
    """The error of a commit for which a synchronous standby was not waited."""
    return BackendError(f"the database {name} failed: no standby has confirmed it: try again")


def not_reached() -> BackendError:
    """The error of a database to which there is no connection yet; its address is not shown."""
    return BackendError(
        "the database cannot be connected to: check its address, that the server runs, and whom it "
        "lets in; psql says more, given the same address"
    )
