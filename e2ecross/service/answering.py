# SPDX-License-Identifier: Apache-2.0
"""Answering a request, from its head to its answer.

Rules:
- In this order: method, type and size; the token; how often its device asks; the body. So who has
  no token makes nobody read anything.
- What an exception says that is not ours is told to nobody, and not logged.

Source: docs/service.md.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import Final

from e2ecross.errors import DecodeError, E2ECrossError, NotRegistered
from e2ecross.relay import Relay
from e2ecross.service import replies
from e2ecross.service.calls import SERVED, Answer, Asked
from e2ecross.service.doorkeeper import Device, Doorkeeper, read_token
from e2ecross.service.exchange import BodyBudget, Exchange, Receive, Scope, Send
from e2ecross.service.mail_bell import MailBell
from e2ecross.service.noting import Notes
from e2ecross.service.replies import Reply
from e2ecross.service.waiting import MailWaiting
from e2ecross.service.workers import Together, Workers
from e2ecross.wire.exchange import MAX_IN_CALL
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_errors import Failure, failure_of
from e2ecross.wire.service_mail import FetchRequest

__all__ = ["CallEndpoint", "NothingHere", "Service"]

_SMALL: Final = 64 * 1024
"""Bodies up to so many bytes are decoded in the loop, since it takes less than to change threads;
and what they ask for may share a commit with others, since nobody waits for long then."""
_OPEN: Final = frozenset({"get_link", "put_link", "get_blob"})
_SENT_AT_ONCE: Final = 64 * 1024
_SEND_SECONDS: Final = 30.0
"""For all of an answer: no `HTTPBackend` waits for longer."""
_FAULTS: Final = 500
_FAULT: Final = Failure(500, "backend_error", "")


@dataclass(frozen=True, slots=True)
class Service:
    """What all requests have in common."""

    relay: Relay
    door: Doorkeeper
    workers: Workers
    bell: MailBell
    bodies: BodyBudget
    pieces: BodyBudget
    answers: BodyBudget
    notes: Notes


class _Caller:
    """Who asks: with a token, 32 bytes, secret, or an empty one; of a device, if it is known."""

    __slots__ = ("device", "token")

    def __init__(self, token: bytes, device: Device | None) -> None:
        self.token = token
        self.device = device


class NothingHere:
    """Any other path, also the `*` of OPTIONS: 404. Nor is there anything for a WebSocket.

    Args:
        service: notes it.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        exchange = Exchange("other", scope, receive)
        await _finish(self._service, exchange, replies.not_found(), send)


class CallEndpoint:
    """One call.

    Args:
        name: of the call.
        service: what it is served by.
    """

    def __init__(self, name: str, service: Service) -> None:
        self._name = name
        self._largest = CALLS[name].max_request
        self._served = SERVED[name]
        self._service = service
        self._bodies = service.pieces if self._served.is_slow else service.bodies
        together = self._served.run_together
        self._together: Together[Asked, Answer] | None = (
            None if together is None else Together(partial(together, service.relay))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens."""
        exchange = Exchange(self._name, scope, receive)
        try:
            reply = await self._answer(exchange)
        except Exception as error:  # of whichever kind: it is a fault of ours
            self._service.notes.fault(exchange, error)
            reply = replies.failed(_FAULT)
        try:
            if reply is None:
                self._service.notes.answered(exchange, Reply(0, code="gone"))
            else:
                await _finish(self._service, exchange, reply, send)
        finally:
            self._service.answers.give_back(exchange.answering)

    async def _answer(self, exchange: Exchange) -> Reply | None:
        """Return the answer, or None if the caller has gone away."""
        refused = exchange.check_head(self._largest)
        if refused is not None:
            return refused
        size = exchange.size
        if not self._bodies.take(size):
            return replies.unavailable("too much is being read: try again")
        try:
            caller = await self._admit(exchange)
            if isinstance(caller, Reply):
                return caller
            body = await exchange.read_body()
            return await self._ask(exchange, caller, body) if isinstance(body, bytes) else body
        finally:
            self._bodies.give_back(size)

    async def _admit(self, exchange: Exchange) -> _Caller | Reply:
        """Let somebody in by their token, or say why not."""
        door, now = self._service.door, Doorkeeper.now()
        header = exchange.header(b"authorization")
        if header is None and self._name in _OPEN:
            buckets = door.blob_reads if self._name == "get_blob" else door.open
            seconds = buckets[exchange.network].take(now)
            return replies.wait_first(seconds) if seconds else _Caller(b"", None)
        token = read_token(header)
        if token is None:
            return self._refuse(exchange)
        if self._name == "register":  # its token is that of nobody yet
            seconds = door.registrations[exchange.network].take(now)
            return replies.wait_first(seconds) if seconds else _Caller(token, None)
        device = door.known(token)
        if device is None:
            if seconds := door.failures[exchange.network].wait(now):
                return replies.wait_first(seconds)
            relay = self._service.relay
            try:
                address = await self._service.workers.read(partial(relay.holder, token))
            except E2ECrossError as error:
                return self._failed(exchange, error)
            if address is None:
                return self._refuse(exchange)
            device = door.welcome(token, address)
        exchange.who = device.address
        seconds = device.requests.take(now)
        return replies.wait_first(seconds) if seconds else _Caller(token, device)

    def _refuse(self, exchange: Exchange) -> Reply:
        """Answer somebody without a valid token, so many times a minute."""
        seconds = self._service.door.failures[exchange.network].take(Doorkeeper.now())
        return replies.wait_first(seconds) if seconds else replies.unauthorized()

    async def _ask(self, exchange: Exchange, caller: _Caller, body: bytes) -> Reply | None:
        """Ask the relay."""
        served, service = self._served, self._service
        try:
            if len(body) <= _SMALL:
                asked = served.decode(body)
            else:
                asked = await service.workers.read(partial(served.decode, body))
        except DecodeError as error:
            return replies.failed(Failure(400, "invalid_argument", str(error)))
        if served.is_for_device(asked) and not caller.token:
            return self._refuse(exchange)
        envelopes = min(served.envelopes(asked), MAX_IN_CALL)  # more are refused as a whole
        if caller.device is not None and envelopes:
            seconds = caller.device.envelopes.take(Doorkeeper.now(), envelopes)
            if seconds:
                return replies.wait_first(seconds)
        try:
            answer = await self._run(exchange, caller, asked)
        except E2ECrossError as error:
            if isinstance(error, NotRegistered):
                service.door.failures[exchange.network].take(Doorkeeper.now())
                await self._forget_if_gone(caller.token)
            return self._failed(exchange, error)
        if isinstance(answer, Answer):
            service.notes.done(answer)
            return replies.succeeded(answer.body)
        return answer

    def _failed(self, exchange: Exchange, error: E2ECrossError) -> Reply:
        """Say what went wrong; of the relay itself its operator hears where."""
        failure = failure_of(error)
        if failure.status >= _FAULTS:
            self._service.notes.fault(exchange, error)
        return replies.failed(failure)

    async def _forget_if_gone(self, token: bytes) -> None:
        """Forget a device whose token is none any more; one that asks for another keeps count."""
        service = self._service
        with contextlib.suppress(E2ECrossError):
            if await service.workers.read(partial(service.relay.holder, token)) is None:
                service.door.forget(token)

    async def _run(
        self, exchange: Exchange, caller: _Caller, asked: object
    ) -> Answer | Reply | None:
        service, served, workers = self._service, self._served, self._service.workers
        size = served.file_bytes(asked)
        if not service.answers.take(size):
            return replies.unavailable("too much is being read of files: try again")
        exchange.answering = size
        work = partial(served.run, service.relay, caller.token, asked)
        if not served.writes(asked):
            ask = partial(workers.read, work)
        elif workers.is_slowly_busy if served.is_slow else workers.is_busy:
            return replies.unavailable("too many calls wait for their turn: try again")
        elif self._together is not None and exchange.size <= _SMALL:
            ask = partial(workers.write_together, self._together, (caller.token, asked))
        else:
            ask = partial(workers.write_slowly if served.is_slow else workers.write, work)
        if isinstance(asked, FetchRequest) and asked.wait_ms and asked.limit:
            waiting = MailWaiting(service.relay, service.workers, service.bell)
            return await waiting.fetch(exchange, asked, ask)
        return await ask()


async def _finish(service: Service, exchange: Exchange, reply: Reply, send: Send) -> None:
    try:
        await _send(exchange, reply, send)
    except TimeoutError:
        exchange.abort()
    service.notes.answered(exchange, reply)


async def _send(exchange: Exchange, reply: Reply, send: Send) -> None:
    """Send an answer in pieces: each waits until those before have gone, all have a time."""
    head, body = reply.head(exchange.id), reply.body
    async with asyncio.timeout(_SEND_SECONDS):
        # It waits, too: what has not gone may be of the answer before.
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        for start in range(0, len(body) or 1, _SENT_AT_ONCE):
            end = start + _SENT_AT_ONCE
            part, more = body[start:end], end < len(body)
            await send({"type": "http.response.body", "body": part, "more_body": more})
