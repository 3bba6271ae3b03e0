# SPDX-License-Identifier: Apache-2.0
"""Operations on one session, the same for every contestant that can make two connected ends.

What a sender hands on and a receiver takes is what the library itself would send: bytes, where it
has a wire format.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from statistics import fmean
from typing import Any, Protocol

from benchmarks.implementation import Measure
from benchmarks.job import Job, Maker, Step

__all__ = ["Connect", "End", "byte_measures", "chain_makers", "chain_makers_v4"]


class End(Protocol):
    """One end of a session; it keeps its own state."""

    def encrypt(self, plaintext: bytes, /) -> Any:  # noqa: ANN401 - whatever the library sends
        """Return the message as the library sends it."""
        ...

    def decrypt(self, message: Any, /) -> bytes:  # noqa: ANN401
        """Return the plaintext of a message of the other end."""
        ...


Connect = Callable[[Job, ExitStack], tuple[End, End]]
"""Makes the two ends of a session that both know of, freshly.

Only the second one is timed, but in a ping-pong; so the first may do without a durable store.
"""


def chain_makers(connect: Connect) -> dict[str, Maker]:
    """The makers of all operations on one session."""
    connected = partial(_connected, connect)

    def encrypt(job: Job, cleanup: ExitStack) -> Step:
        # Keys are skipped in what is received, so the end that encrypts is the one that received.
        _, receiver = connected(job, cleanup)
        plaintext, end = _plaintext(job), receiver.encrypt
        return lambda: end(plaintext)

    def decrypt(job: Job, cleanup: ExitStack) -> Step:
        sender, receiver = connected(job, cleanup)
        return _each(receiver.decrypt, iter(_messages(sender, job)))

    def out_of_order(job: Job, cleanup: ExitStack) -> Step:
        sender, receiver = connected(job, cleanup)
        messages, window = _messages(sender, job), job.parameters["window"]
        starts = range(0, len(messages), window)
        ordered = [m for start in starts for m in reversed(messages[start : start + window])]
        return _each(receiver.decrypt, iter(ordered))

    def backlog(job: Job, cleanup: ExitStack) -> Step:
        sender, receiver = connected(job, cleanup)
        # A turn first, so that the backlog begins as it does after a night.
        sender.decrypt(receiver.encrypt(b"good night"))
        return _each(receiver.decrypt, iter(_messages(sender, job)))

    def ping_pong(job: Job, cleanup: ExitStack) -> Step:
        first, second = connected(job, cleanup)
        plaintext = _plaintext(job)

        def there_and_back() -> Iterator[None]:
            while True:
                second.decrypt(first.encrypt(plaintext))
                yield
                first.decrypt(second.encrypt(plaintext))
                yield

        return there_and_back().__next__

    return {
        "encrypt": encrypt,
        "decrypt": decrypt,
        "out_of_order": out_of_order,
        "backlog": backlog,
        "ping_pong": ping_pong,
    }


def chain_makers_v4(connect: Connect) -> dict[str, Maker]:
    """The same for ends that speak version 4, under names of their own."""
    makers = {f"{name}_v4": maker for name, maker in chain_makers(connect).items()}
    return makers | {"encrypt_chunk_v4": makers["encrypt_v4"]}


def byte_measures(connect: Connect) -> dict[str, Measure]:
    """How many bytes a message has on average, between ends that speak version 4."""

    def chain_bytes(job: Job) -> float:
        with ExitStack() as cleanup:
            _, receiver = _connected(connect, job, cleanup)
            return fmean(map(_size, _messages(receiver, job)))

    def ping_pong_bytes(job: Job) -> float:
        sizes, plaintext = [], _plaintext(job)
        with ExitStack() as cleanup:
            sender, receiver = _connected(connect, job, cleanup)
            for _ in range(job.total):
                message = sender.encrypt(plaintext)
                sizes.append(_size(message))
                receiver.decrypt(message)
                sender, receiver = receiver, sender
        return fmean(sizes)

    return {"chain_bytes_v4": chain_bytes, "ping_pong_bytes_v4": ping_pong_bytes}


def _connected(connect: Connect, job: Job, cleanup: ExitStack) -> tuple[End, End]:
    """Two ends that have a past, as the job's parameters say."""
    sender, receiver = connect(job, cleanup)
    for _ in range(job.parameters.get("turns", 0)):
        receiver.decrypt(sender.encrypt(b"ping"))
        sender.decrypt(receiver.encrypt(b"pong"))
    _skip(sender, receiver, job.parameters.get("skipped", 0))
    return sender, receiver


def _plaintext(job: Job) -> bytes:
    return bytes(job.parameters["bytes"])


def _size(message: bytes | tuple[object, bytes]) -> int:
    """Of a message as bytes, or of one whose kind stands beside them."""
    return len(message if isinstance(message, bytes) else message[1])


def _messages(sender: End, job: Job) -> list[Any]:
    plaintext = _plaintext(job)
    return [sender.encrypt(plaintext) for _ in range(job.total)]


def _each(operation: Callable[[Any], object], items: Iterator[Any]) -> Step:
    return lambda: operation(next(items))


def _skip(sender: End, receiver: End, count: int) -> None:
    """Lose that many messages, in two runs: some libraries do not jump over 2,000 at once."""
    for lost in (count // 2, count - count // 2) if count else ():
        for _ in range(lost):
            sender.encrypt(b"lost")
        receiver.decrypt(sender.encrypt(b"read"))
