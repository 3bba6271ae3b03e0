# SPDX-License-Identifier: Apache-2.0
"""Statements of one connection in one round trip, by the driver's own lower half.

A cursor of the driver for each statement costs a worker more than everything else that it does to
send a message; what is left of that here is converting parameters and rows, in C.

Rules:
- What belongs together is sent whole before an answer is waited for. Sending never blocks, so
  neither end waits for the other with full buffers.
- Behind a pooler nothing is prepared. A name is used again only after the server has said that it
  is there.
- After an error nothing of the same pipeline was run, and the connection is as before, or closed.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import fetch_many, send
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

__all__ = ["Pipeline", "Statement"]

Statement = tuple[str, tuple[Any, ...]]
"""Text with `%s`, and what is bound."""

_PREPARED: Final = 400  # statements: there are some for each table
_REMEMBERED: Final = 1_024
_AUTO: Final = [PyFormat.AUTO] * 16  # more parameters than a statement has
_BINARY: Final = pq.Format.BINARY
_ROWS: Final = pq.ExecStatus.TUPLES_OK
_FAILED: Final = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)


_Key = tuple[bytes, tuple[int, ...]]
"""A statement, and the types of what is bound."""


class _Bound(NamedTuple):
    """A statement as it is sent.

    Attributes:
        key: which it is, with `$1` and so on.
        values: what is bound, as the server reads it.
        formats: of these.
    """

    key: _Key
    values: list[Any]  # psycopg 3.2 takes nothing else
    formats: list[pq.Format]


class Pipeline:
    """How statements go out on a connection, and what is prepared there.

    Args:
        connection: in autocommit mode.

    Attributes:
        prepares: whether a statement that is run again is prepared.
    """

    __slots__ = ("_connection", "_made", "_names", "_seen", "_transformer", "prepares")

    def __init__(self, connection: "psycopg.Connection[TupleRow]") -> None:
        self._connection = connection
        self._transformer = Transformer(connection)
        self._seen: set[_Key] = set()
        self._names: dict[_Key, bytes] = {}
        self._made = 0
        self.prepares = False

    def run(self, statements: Sequence[Statement]) -> list[list[TupleRow]]:
        """Run statements in one round trip; gives the rows of each.

        Raises:
            psycopg.Error: one failed, and those after it were not run.
        """
        bound = [self._bind(sql, parameters) for sql, parameters in statements]
        connection = self._connection
        server = connection.pgconn
        new: dict[_Key, bytes] = {}
        server.enter_pipeline_mode()
        try:
            sent = [self._send(server, each, new) for each in bound]
            server.pipeline_sync()
            answers = connection.wait(_answers(server, sum(sent) + 1))
        finally:
            if server.status == pq.ConnStatus.OK:
                try:
                    server.exit_pipeline_mode()
                except psycopg.Error:  # answers are on their way that nobody waits for
                    connection.close()
        for answer in answers:
            if answer.status in _FAILED:
                raise psycopg.errors.error_from_result(answer)
        self._names.update(new)
        rows, place = [], -1
        for answers_of_it in sent:
            place += answers_of_it
            rows.append(self._rows(answers[place]))
        return rows

    def _bind(self, sql: str, parameters: tuple[Any, ...]) -> _Bound:
        query = _numbered(sql)
        if not parameters:
            return _Bound((query, ()), [], [])
        transformer = self._transformer
        values = transformer.dump_sequence(parameters, _AUTO[: len(parameters)])
        return _Bound(
            (query, transformer.types or ()), list(values), list(transformer.formats or ())
        )

    def _send(self, server: PGconn, bound: _Bound, new: dict[_Key, bytes]) -> int:
        """Send a statement; gives how many answers there will be, of which the last counts."""
        key, values, formats = bound
        name = self._names.get(key) or new.get(key)
        if name is not None:
            server.send_query_prepared(name, values, formats, _BINARY)
            return 1
        if not self.prepares or key not in self._seen or self._made >= _PREPARED:
            self._seen.add(key)
            server.send_query_params(key[0], values, key[1], formats, _BINARY)
            return 1
        self._made += 1
        name = new[key] = b"e2ecross_%d" % self._made  # never that of one that has failed
        server.send_prepare(name, key[0], key[1])
        server.send_query_prepared(name, values, formats, _BINARY)
        return 2

    def _rows(self, answer: PGresult) -> list[TupleRow]:
        if answer.status != _ROWS:
            return []
        self._transformer.set_pgresult(answer)
        return self._transformer.load_rows(0, answer.ntuples, tuple)


def _answers(server: PGconn, expected: int) -> PQGen[list[PGresult]]:
    """Wait for so many answers; fewer, if the last of these says that the connection is lost."""
    yield from send(server)
    found: list[PGresult] = []
    while len(found) < expected:
        answers = yield from fetch_many(server)
        if not answers:
            break
        found += answers
    return found


@lru_cache(_REMEMBERED)
def _numbered(sql: str) -> bytes:
    """As the server has it: `$1` for the first parameter."""
    numbers = count(1)
    return re.sub("%s", lambda _: f"${next(numbers)}", sql).encode()
