# SPDX-License-Identifier: Apache-2.0
"""With the last message that carries a file its author has the blob deleted."""

from pathlib import Path

import pytest

from e2ecross import Client, Delete, Expiry, Media, Message, Policy, Receipt, Sent, Text
from e2ecross.errors import BackendError, BlobGone, RecordCorrupted
from e2ecross.stores import Table
from tests.client.conversation import damage
from tests.client.test_attachments import World, attachment_of
from tests.support.devices import DAY_MS, EVERYTHING, TOKO, count_rows

HOUR = Expiry(3_600)
HOUR_MS = 3_600_000
SOON_MS = 5_001


class Ends(World):
    """Ana has uploaded a photo, and can show that it is there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Policy(capabilities=EVERYTHING))
        self.toko = self.client(TOKO)
        self.toko.accept(str(self.ana.device.address.user_id))
        self.upload = self.ana.upload(self.file(100))
        self.upload.run()

    def send(self, to: Client, expiry: Expiry | None = None, *, once: bool = False) -> Sent:
        """Send the photo."""
        media = Media(self.upload.attachment)
        return self.ana.send(to.device.address, media, expiry=expiry, view_once=once)

    def is_there(self) -> bool:
        """Whether the blob is, after what is due was done."""
        self.ana.maintain()
        try:
            self.budi.open_attachment(self.upload.attachment)
        except BlobGone:
            return False
        return True

    def later(self, ms: int) -> bool:
        """Whether it is, so much later."""
        self.clock.advance(ms)
        return self.is_there()

    def open(self, client: Client) -> None:
        """Let somebody look at what may be viewed once, and Ana hear of it."""
        for item in client.receive():
            if isinstance(item, Message) and item.view_once:
                client.opened(item)
        self.clock.advance(SOON_MS)
        client.maintain()
        self.ana.confirm(self.ana.receive())


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    return Ends(tmp_path)


def test_a_file_goes_with_the_message_that_ends(ends: Ends) -> None:
    ends.send(ends.budi, HOUR)
    assert ends.later(HOUR_MS - 1)
    assert not ends.later(1)
    assert ends.blobs.names().count("delete_blob") == 1
    ends.ana.maintain()
    assert "delete_blob" not in ends.blobs.names()  # once


def test_from_read_it_ends_by_the_clock_of_its_author(ends: Ends) -> None:
    ends.send(ends.budi, Expiry(3_600, from_read=True))
    assert not ends.later(HOUR_MS)


def test_it_goes_with_the_last_message_that_ends(ends: Ends) -> None:
    ends.send(ends.budi, HOUR)
    ends.send(ends.toko, Expiry(7_200))
    ends.send(ends.toko, HOUR)
    assert ends.later(HOUR_MS)
    assert not ends.later(HOUR_MS)


@pytest.mark.parametrize("is_first", [True, False])
def test_it_stays_as_long_as_a_message_has_no_end(ends: Ends, is_first: bool) -> None:
    if is_first:
        ends.send(ends.toko)
    ends.send(ends.budi, HOUR)
    if not is_first:
        ends.send(ends.toko)
    assert ends.later(HOUR_MS)
    ends.send(ends.budi, once=True)
    ends.open(ends.budi)
    assert ends.is_there()
    ends.send(ends.budi, HOUR)
    assert ends.later(8 * DAY_MS)
    ends.send(ends.budi, HOUR)  # nothing is known of the upload any more
    assert ends.later(DAY_MS)


def test_an_end_that_is_known_longer_than_the_upload_still_holds(ends: Ends) -> None:
    ends.send(ends.budi, Expiry(10 * 86_400))
    assert ends.later(9 * DAY_MS)
    assert ends.ana.uploads() == []
    ends.send(ends.toko, Expiry(2 * 86_400))
    assert ends.later(DAY_MS)
    ends.send(ends.toko)
    assert ends.later(DAY_MS)


def test_a_deleted_message_leaves_the_file_to_those_who_forwarded_it(ends: Ends) -> None:
    sent = ends.send(ends.budi)
    assert sent.ref is not None
    ends.ana.send(ends.budi.device.address, Delete(sent.ref))
    assert ends.later(6 * DAY_MS)


def test_what_was_viewed_once_goes(ends: Ends) -> None:
    ends.send(ends.budi, once=True)
    assert ends.later(DAY_MS)
    ends.open(ends.budi)
    assert not ends.is_there()


def test_what_has_come_and_was_not_viewed_stays(ends: Ends) -> None:
    sent = ends.send(ends.budi, once=True)
    ends.budi.receive()
    ends.clock.advance(SOON_MS)
    ends.budi.maintain()
    came = [each.content for each in ends.ana.receive() if isinstance(each, Message)]
    assert Receipt(Receipt.DELIVERED, (sent.message_id,)) in came
    assert ends.later(DAY_MS)


def test_what_may_be_viewed_once_by_several_goes_with_the_last(ends: Ends) -> None:
    ends.send(ends.budi, once=True)
    ends.send(ends.toko, once=True)
    ends.open(ends.budi)
    assert ends.is_there()
    ends.open(ends.toko)
    assert not ends.is_there()


def test_what_was_viewed_once_stays_for_another_message_until_that_ends(ends: Ends) -> None:
    ends.send(ends.budi, once=True)
    ends.send(ends.toko, Expiry(2 * 86_400))
    ends.open(ends.budi)
    assert ends.later(DAY_MS)
    assert not ends.later(DAY_MS)


def test_what_ends_stays_for_who_may_still_view_it_once(ends: Ends) -> None:
    ends.send(ends.toko, HOUR)
    ends.send(ends.budi, once=True)
    assert ends.later(44 * DAY_MS)
    assert not ends.later(DAY_MS)


@pytest.mark.parametrize("is_once", [True, False])
def test_what_is_over_or_viewed_once_has_no_key_at_its_author(ends: Ends, is_once: bool) -> None:
    ends.send(ends.budi, HOUR, once=is_once)
    assert len(ends.ana.uploads()) == (0 if is_once else 1)
    assert not ends.later(HOUR_MS)
    assert ends.ana.uploads() == []


def test_what_nobody_looks_at_goes_when_it_ends(ends: Ends) -> None:
    ends.send(ends.budi, HOUR, once=True)
    assert ends.later(HOUR_MS - 1)
    assert not ends.later(1)
    ends.blobs.names()
    ends.open(ends.budi)  # too late
    ends.ana.maintain()
    assert ends.blobs.names() == []


def test_only_who_got_it_can_have_viewed_it(ends: Ends) -> None:
    sent = ends.send(ends.budi, once=True)
    ends.ana.send(ends.toko.device.address, Text("halo"), message_id=sent.message_id)
    ends.toko.mark_read([each for each in ends.toko.receive() if isinstance(each, Message)])
    ends.clock.advance(SOON_MS)
    ends.toko.maintain()
    receipts = [each for each in ends.ana.receive() if isinstance(each, Message)]
    assert Receipt(Receipt.READ, (sent.message_id,)) in [each.content for each in receipts]
    assert ends.is_there()


def test_a_blob_store_that_is_away_is_asked_again(ends: Ends) -> None:
    ends.send(ends.budi, HOUR)
    ends.clock.advance(HOUR_MS)
    ends.blobs.fail("delete_blob", BackendError("away"))
    with pytest.raises(BackendError, match="away"):
        ends.ana.maintain()
    assert not ends.is_there()


def test_a_hundred_go_at_once(ends: Ends) -> None:
    for number in range(102):
        path = ends.folder / "small"
        path.write_bytes(bytes([number]))
        upload = ends.ana.upload(path)
        upload.run()
        ends.ana.send(ends.budi.device.address, Media(upload.attachment), expiry=HOUR)
    ends.clock.advance(HOUR_MS)
    ends.blobs.names()
    ends.ana.maintain()
    assert ends.blobs.names().count("delete_blob") == 100
    ends.ana.maintain()
    assert ends.blobs.names().count("delete_blob") == 2


def test_ends_beyond_the_bound_are_not_noted(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2ecross.state.blob_ends._MAX_ENDS", 0)
    ends.send(ends.budi, HOUR)
    assert ends.later(HOUR_MS)


def test_a_file_of_somebody_else_is_not_ours_to_delete(ends: Ends) -> None:
    ends.send(ends.budi)
    attachment = attachment_of(ends.receive())
    ends.budi.send(ends.toko.device.address, Media(attachment), expiry=HOUR)
    ends.clock.advance(HOUR_MS)
    ends.blobs.names()
    ends.budi.maintain()
    assert ends.blobs.names() == []
    assert ends.is_there()


def test_a_client_without_a_blob_store_deletes_nothing(ends: Ends) -> None:
    ends.send(ends.budi, HOUR)
    ends.clock.advance(HOUR_MS)
    Client(ends.ana.device, ends.backend).maintain()
    assert not ends.is_there()


def test_a_message_that_was_not_encrypted_changes_nothing(ends: Ends) -> None:
    ends.store.fail_commit = True
    before = count_rows(ends.store.inner, Table.UPLOADS)
    with pytest.raises(Exception, match="commit"):
        ends.send(ends.budi, HOUR)
    ends.store.fail_commit = False
    assert count_rows(ends.store.inner, Table.UPLOADS) == before


def test_a_damaged_end_is_told(ends: Ends) -> None:
    ends.send(ends.budi, HOUR)
    damage(ends.ana, Table.UPLOADS)
    with pytest.raises(RecordCorrupted):
        ends.ana.maintain()
