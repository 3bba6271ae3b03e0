# SPDX-License-Identifier: Apache-2.0
"""With the last message that carries a file its blob goes, of an author with stripes as well."""

from pathlib import Path

import pytest

from e2ecross import Address, Client, Expiry, Message, Receipt, Text
from e2ecross.stores import MemoryStore, Store
from tests.client.test_blob_ends import HOUR, HOUR_MS, SOON_MS, Ends
from tests.support.devices import DAY_MS, SpyStore


class StripedEnds(Ends):
    """Ana's store has stripes: what is known of files is of another than her recipients are."""

    def client(self, address: Address, store: Store | None = None) -> Client:
        if store is not None:
            store = self.store = SpyStore(MemoryStore(64))
        return super().client(address, store)


@pytest.fixture
def ends(tmp_path: Path) -> StripedEnds:
    return StripedEnds(tmp_path)


def test_a_file_goes_with_the_message_that_ends(ends: StripedEnds) -> None:
    ends.send(ends.budi, HOUR)
    assert ends.later(HOUR_MS - 1)
    assert not ends.later(1)


def test_it_stays_as_long_as_a_message_has_no_end(ends: StripedEnds) -> None:
    ends.send(ends.budi, HOUR)
    ends.send(ends.toko)
    ends.send(ends.budi, HOUR)  # is not noted any more
    assert ends.later(DAY_MS)


def test_an_end_that_is_known_longer_than_the_upload_still_holds(ends: StripedEnds) -> None:
    ends.send(ends.budi, Expiry(10 * 86_400))
    assert ends.later(9 * DAY_MS)
    assert ends.ana.uploads() == []
    ends.send(ends.toko, Expiry(2 * 86_400))
    assert ends.later(DAY_MS)
    assert not ends.later(DAY_MS)


def test_what_may_be_viewed_once_by_several_goes_with_the_last(ends: StripedEnds) -> None:
    ends.send(ends.budi, once=True)
    ends.send(ends.toko, once=True)
    ends.open(ends.budi)
    assert ends.is_there()
    ends.open(ends.toko)
    assert not ends.is_there()


def test_what_is_heard_of_other_messages_changes_nothing(ends: StripedEnds) -> None:
    ends.send(ends.budi, once=True)
    ends.ana.send(ends.toko.device.address, Text("halo"))
    ends.toko.mark_read([each for each in ends.toko.receive() if isinstance(each, Message)])
    ends.clock.advance(SOON_MS)
    ends.toko.maintain()
    came = ends.ana.receive()
    assert any(isinstance(each, Message) and isinstance(each.content, Receipt) for each in came)
    ends.ana.confirm(came)
    assert ends.is_there()
