# SPDX-License-Identifier: Apache-2.0
"""Operations in a group that speaks sender keys: the raw layer of `Device`."""

from contextlib import ExitStack

from benchmarks.contestants.devices import ANA, BUDI, NewStore
from benchmarks.job import Job, Maker, Step
from e2ecross import Address, Device, SenderKeyGroup
from e2ecross.stores import MemoryStore

__all__ = ["group_makers"]

_GROUP = SenderKeyGroup.uuid(bytes(range(16)))


def group_makers(new_store: NewStore) -> dict[str, Maker]:
    """The makers of all operations in a group, of a device over such a store."""

    def encrypt(job: Job, cleanup: ExitStack) -> Step:
        ana = Device.create(ANA, new_store(cleanup))
        ana.new_sender_key_raw(_GROUP)
        plaintext = bytes(job.parameters["bytes"])
        return lambda: ana.encrypt_group_raw(_GROUP, plaintext)

    def decrypt(job: Job, cleanup: ExitStack) -> Step:
        ana, budi = Device.create(ANA, MemoryStore()), Device.create(BUDI, new_store(cleanup))
        budi.process_distribution_raw(ANA, _GROUP, ana.new_sender_key_raw(_GROUP))
        plaintext = bytes(job.parameters["bytes"])
        messages = iter([ana.encrypt_group_raw(_GROUP, plaintext) for _ in range(job.total)])
        return lambda: budi.decrypt_group_raw(ANA, _GROUP, next(messages))

    def distribution(job: Job, cleanup: ExitStack) -> Step:
        # Each is the first of its sender, as in a group that one has just been taken into.
        ana, budi = Device.create(ANA, MemoryStore()), Device.create(BUDI, new_store(cleanup))
        given = iter(
            [
                (Address("whatsapp", f"ana{index}"), ana.new_sender_key_raw(_GROUP))
                for index in range(job.total)
            ]
        )

        def step() -> None:
            sender, data = next(given)
            budi.process_distribution_raw(sender, _GROUP, data)

        return step

    return {
        "group_encrypt": encrypt,
        "group_decrypt": decrypt,
        "group_distribution": distribution,
    }
