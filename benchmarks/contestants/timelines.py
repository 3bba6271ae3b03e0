# SPDX-License-Identifier: Apache-2.0
"""A message that a timeline takes in, beside a plain dict that keeps it."""

from contextlib import ExitStack
from typing import Final

from benchmarks.job import Job, Maker, Step
from e2ecross import Message, MessageRef, Text, Timeline
from e2ecross.address import Address

__all__ = ["DICT_MAKERS", "MAKERS"]

_BUDI: Final = Address("instagram", "budi")
_OWN: Final = Address("whatsapp", "ana").user_id
_SENT_AT_MS: Final = 1_764_350_000_000


def _messages(first: int, count: int, size: int) -> list[Message]:
    content = Text("a" * size)
    return [
        Message(
            *(_BUDI, number.to_bytes(16), _SENT_AT_MS + number, content, False),
            peer=_BUDI.user_id,
            ref=MessageRef(_BUDI.user_id, number.to_bytes(16), number.to_bytes(32)),
        )
        for number in range(first, first + count)
    ]


def _timeline(job: Job, cleanup: ExitStack) -> Step:
    timeline, held, size = Timeline(_OWN), job.parameters["held"], job.parameters["bytes"]
    for message in _messages(0, held, size):
        timeline.add(message)
    arriving = iter(_messages(held, job.total, size))
    return lambda: timeline.add(next(arriving))


def _dict(job: Job, cleanup: ExitStack) -> Step:
    held, size = job.parameters["held"], job.parameters["bytes"]
    kept = {message.message_id: message for message in _messages(0, held, size)}
    arriving = iter(_messages(held, job.total, size))

    def step() -> None:
        message = next(arriving)
        kept[message.message_id] = message

    return step


MAKERS: Final[dict[str, Maker]] = {"timeline": _timeline}
DICT_MAKERS: Final[dict[str, Maker]] = {"timeline": _dict}
