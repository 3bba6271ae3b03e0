# SPDX-License-Identifier: Apache-2.0
"""Operations of `Device` on content, one envelope at a time and many at once."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from benchmarks.contestants.devices import ANA, BUDI, NewStore, bundles_of, in_use, links, moved
from benchmarks.job import Job, Maker, Step
from e2ecross import Address, Bytes, Device, Envelope, Message
from e2ecross.stores import MemoryStore

__all__ = ["many_makers", "require_all"]

_CONTENT: Final = Bytes(bytes(100))


def many_makers(new_store: NewStore) -> dict[str, Maker]:
    """The makers of operations on content, over such a store."""

    def content_fan_out(job: Job, cleanup: ExitStack) -> Step:
        ana, addresses = _acquainted(new_store, job.total, cleanup)
        recipients = iter(addresses)
        return lambda: ana.encrypt(next(recipients), _CONTENT)

    def content_encrypt(job: Job, cleanup: ExitStack) -> Step:
        ana, (address,) = _acquainted(new_store, 1, cleanup)
        return lambda: ana.encrypt(address, _CONTENT)

    def content_inbox(job: Job, cleanup: ExitStack) -> Step:
        budi, envelopes = _written_to(new_store, job.total, 1, cleanup)
        arriving = iter(envelopes)
        return lambda: budi.decrypt(next(arriving))

    def content_backlog(job: Job, cleanup: ExitStack) -> Step:
        budi, envelopes = _written_to(new_store, 1, job.total, cleanup)
        arriving = iter(envelopes)
        return lambda: budi.decrypt(next(arriving))

    def fan_out_many(job: Job, cleanup: ExitStack) -> Step:
        ana, addresses = _acquainted(new_store, job.parameters["count"], cleanup)
        return lambda: require_all(ana.encrypt_many(addresses, _CONTENT), Envelope)

    def fan_out_opened(job: Job, cleanup: ExitStack) -> Step:
        ana, addresses = _just_opened(new_store, job.parameters["count"], cleanup)
        return lambda: require_all(ana.encrypt_many(addresses, _CONTENT), Envelope)

    def inbox_many(job: Job, cleanup: ExitStack) -> Step:
        budi, envelopes = _written_to(new_store, job.parameters["count"], 1, cleanup)
        return lambda: require_all(budi.decrypt_many(envelopes), Message)

    def backlog_many(job: Job, cleanup: ExitStack) -> Step:
        budi, envelopes = _written_to(new_store, 1, job.parameters["count"], cleanup)
        return lambda: require_all(budi.decrypt_many(envelopes), Message)

    return {
        "content_fan_out": content_fan_out,
        "content_encrypt": content_encrypt,
        "content_inbox": content_inbox,
        "content_backlog": content_backlog,
        "fan_out_many": fan_out_many,
        "fan_out_opened": fan_out_opened,
        "inbox_many": inbox_many,
        "backlog_many": backlog_many,
    }


def require_all(results: Sequence[object], kind: type) -> None:
    """Refuse to have measured errors, which stand in the place of results."""
    for result in results:
        if not isinstance(result, kind):
            raise TypeError(f"{type(result).__name__} in the place of a {kind.__name__}")


def _acquainted(
    new_store: NewStore, number: int, cleanup: ExitStack
) -> tuple[Device, Sequence[Address]]:
    """A device with sessions under that many addresses, to all of which it has written."""
    ana, addresses = _just_opened(new_store, number, cleanup)
    return in_use(ana, addresses), addresses


def _just_opened(
    new_store: NewStore, number: int, cleanup: ExitStack
) -> tuple[Device, Sequence[Address]]:
    """The same, before it has: all sessions are in their rows."""
    store = MemoryStore()
    made = links(Device.create(ANA, store), Device.create(BUDI, MemoryStore()), number)
    return moved(store, new_store, cleanup), [end.address for end, _ in made]


def _written_to(
    new_store: NewStore, senders: int, each: int, cleanup: ExitStack
) -> tuple[Device, Sequence[Envelope]]:
    """A device that was written to before, and what waits for it now."""
    store = MemoryStore()
    budi = Device.create(BUDI, store)
    envelopes, addresses = [], []
    for number, bundle in enumerate(bundles_of(budi, senders)):
        ana = Device.create(Address(ANA.app, f"ana{number}"), MemoryStore())
        ana.start_session(bundle)
        budi.decrypt(ana.encrypt(BUDI, _CONTENT))
        ana.decrypt(budi.encrypt(ana.address, _CONTENT))
        addresses.append(ana.address)
        envelopes += [ana.encrypt(BUDI, _CONTENT) for _ in range(each)]
    return in_use(moved(store, new_store, cleanup), addresses), envelopes
