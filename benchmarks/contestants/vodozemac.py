# SPDX-License-Identifier: Apache-2.0
"""Contestant: vodozemac, Matrix's Olm, through its Python package.

A message leaves as bytes and arrives as bytes, as with everybody else. Keys are published under
an Ed25519 signature of the account, which is checked, as Matrix clients do; what is signed is our
choice. There is no signed prekey, so a session takes three agreements and not four.
"""

import sqlite3
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import vodozemac

from benchmarks.contestants.chain import Connect, chain_makers
from benchmarks.contestants.commit import PRAGMAS
from benchmarks.implementation import Implementation, measure_memory
from benchmarks.job import Job, Maker, Step

__all__ = ["IMPLEMENTATIONS"]

_PACKAGES: Final = ("vodozemac",)

_PLAINTEXT: Final = bytes(100)
_PICKLE_KEY: Final = bytes(range(32))

# A message on its way: type and bytes.
_Message = tuple[int, bytes]
_Bundle = tuple[Any, Any, Any, Any]


class _End:
    """One end; the session is an object of the library, changed in place."""

    __slots__ = ("session",)

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - the library has no types
        self.session = session

    def encrypt(self, plaintext: bytes) -> _Message:
        message: _Message = self.session.encrypt(plaintext).to_parts()
        return message

    def decrypt(self, message: _Message) -> bytes:
        plaintext: bytes = self.session.decrypt(vodozemac.AnyOlmMessage.from_parts(*message))
        return plaintext


class _DurableEnd(_End):
    """The same, and its session is in a SQLite file before a result is released.

    At its best: the session stays in memory and is only written, never read back.
    """

    __slots__ = ("connection",)

    def __init__(self, session: Any, connection: sqlite3.Connection) -> None:  # noqa: ANN401
        super().__init__(session)
        self.connection = connection

    def encrypt(self, plaintext: bytes) -> _Message:
        message = super().encrypt(plaintext)
        self._save()
        return message

    def decrypt(self, message: _Message) -> bytes:
        plaintext = super().decrypt(message)
        self._save()
        return plaintext

    def _save(self) -> None:
        pickle = self.session.pickle(_PICKLE_KEY)
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("UPDATE session SET pickle = ?", (pickle,))
        self.connection.execute("COMMIT")


def _bundle_of(account: Any) -> _Bundle:  # noqa: ANN401
    """A fresh one-time key, published under the account's signature."""
    account.generate_one_time_keys(1)
    (once,) = account.one_time_keys.values()
    account.mark_keys_as_published()
    identity = account.curve25519_key
    return identity, once, account.ed25519_key, account.sign(_signed(identity, once))


def _signed(identity: Any, once: Any) -> bytes:  # noqa: ANN401
    signed: bytes = identity.to_bytes() + once.to_bytes()
    return signed


def _start(account: Any, bundle: _Bundle) -> Any:  # noqa: ANN401
    identity, once, signer, signature = bundle
    signer.verify_signature(_signed(identity, once), signature)
    return account.create_outbound_session(identity, once)


def _accept(account: Any, identity: Any, message: _Message) -> Any:  # noqa: ANN401
    first = vodozemac.AnyOlmMessage.from_parts(*message).to_pre_key()
    return account.create_inbound_session(identity, first)[0]


def _connected(ana: Any, budi: Any) -> tuple[_End, _End]:  # noqa: ANN401
    end = _End(_start(ana, _bundle_of(budi)))
    other = _End(_accept(budi, ana.curve25519_key, end.encrypt(_PLAINTEXT)))
    end.decrypt(other.encrypt(_PLAINTEXT))
    return end, other


def _connect(job: Job, cleanup: ExitStack) -> tuple[_End, _End]:
    return _connected(vodozemac.Account(), vodozemac.Account())


def _connect_durably(job: Job, cleanup: ExitStack) -> tuple[_End, _End]:
    end, other = _connect(job, cleanup)
    if job.operation == "ping_pong":
        end = _DurableEnd(end.session, _file(cleanup))
    return end, _DurableEnd(other.session, _file(cleanup))


def _file(cleanup: ExitStack) -> sqlite3.Connection:
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
    connection = sqlite3.connect(folder / "session.db", isolation_level=None)
    cleanup.callback(connection.close)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("CREATE TABLE session (pickle TEXT)")
    connection.execute("INSERT INTO session VALUES ('')")
    return connection


def _hold(number: int) -> object:
    """That many sessions, both ends of each."""
    ana, budi = vodozemac.Account(), vodozemac.Account()
    return [_connected(ana, budi) for _ in range(number)]


def _bundle(job: Job, cleanup: ExitStack) -> Step:
    return partial(_bundle_of, vodozemac.Account())


def _set_up(job: Job, cleanup: ExitStack) -> Step:
    ana, budi = vodozemac.Account(), vodozemac.Account()
    bundles = iter([_bundle_of(budi) for _ in range(job.total)])

    def step() -> None:
        message = _End(_start(ana, next(bundles))).encrypt(_PLAINTEXT)
        _accept(budi, ana.curve25519_key, message)

    return step


def _first_contact(job: Job, cleanup: ExitStack) -> Step:
    ana = vodozemac.Account()
    bundles = iter([_bundle_of(vodozemac.Account()) for _ in range(job.total)])
    return lambda: _End(_start(ana, next(bundles))).encrypt(_PLAINTEXT)


def _fan_out(connect: Connect, job: Job, cleanup: ExitStack) -> Step:
    ends = [connect(job, cleanup)[0] for _ in range(job.total)]
    for end in ends:
        end.encrypt(_PLAINTEXT)
    recipients = iter(ends)
    return lambda: next(recipients).encrypt(_PLAINTEXT)


_MAKERS: Final[dict[str, Maker]] = {
    **chain_makers(_connect),
    "bundle": _bundle,
    "set_up": _set_up,
    "first_contact": _first_contact,
    "fan_out": partial(_fan_out, _connect),
}

IMPLEMENTATIONS: Final = {
    "vodozemac": Implementation(_MAKERS, {"memory": measure_memory(_hold)}, _PACKAGES),
    "vodozemac-sqlite": Implementation(chain_makers(_connect_durably), packages=_PACKAGES),
}
