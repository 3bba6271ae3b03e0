# SPDX-License-Identifier: Apache-2.0
"""The publication that may not have arrived yet, in the store.

It has a record of its own: with 1000 one-time prekeys of each kind it has 1.7 MB, and the device's
record is written with every message.
"""

from dataclasses import replace
from typing import Final

from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.records import DeviceRecord, decode_publication, encode_publication

__all__ = ["PUBLICATION_ROW", "forget_publication", "read_publication", "save_publication"]

PUBLICATION_ROW: Final = b"publication"


def read_publication(tx: Transaction) -> bytes:
    """Return the encoded publication that has not been confirmed, or nothing.

    Raises:
        RecordCorrupted: its record does not decode.
        StoreTooNew: a later release wrote it.
    """
    data = tx.get(Table.DEVICE, b"", PUBLICATION_ROW)
    return b"" if data is None else decode_publication(data)


def save_publication(tx: Transaction, encoded: bytes) -> None:
    """Write a publication, which is not confirmed yet."""
    tx.put(Table.DEVICE, b"", PUBLICATION_ROW, encode_publication(encoded))


def forget_publication(tx: Transaction, device: DeviceRecord) -> DeviceRecord:
    """Remove the publication; return the device's record without it, to be saved."""
    tx.delete(Table.DEVICE, b"", PUBLICATION_ROW)
    return replace(device, publication_epoch=0)
