# SPDX-License-Identifier: Apache-2.0
"""A text that answers a message, in a frame, beside one of the same length that is plain."""

from contextlib import ExitStack

from benchmarks.contestants.clients import read, two_clients
from benchmarks.contestants.devices import ANA, BUDI, NewStore
from benchmarks.job import Job, Maker, Step
from e2ecross import MessageRef, SentContent, Text

__all__ = ["content_makers"]


def content_makers(new_store: NewStore) -> dict[str, Maker]:
    """The makers of texts from one client to another over such a store: sent, read, confirmed."""

    def plain(job: Job, cleanup: ExitStack) -> Step:
        return _deliver(new_store, Text("a" * job.parameters["bytes"]), cleanup)

    def reply(job: Job, cleanup: ExitStack) -> Step:
        target = MessageRef(ANA.user_id, bytes(16), bytes(32))
        text = Text("a" * job.parameters["bytes"], reply_to=target)
        return _deliver(new_store, text, cleanup)

    return {"client_text": plain, "client_reply": reply}


def _deliver(new_store: NewStore, content: SentContent, cleanup: ExitStack) -> Step:
    ana, budi = two_clients(new_store, cleanup)

    def step() -> None:
        sent = ana.send(BUDI, content)
        if sent.plan.plain:
            raise ValueError("it went as plain text: its recipient announces nothing")
        read(budi, 1)

    return step
