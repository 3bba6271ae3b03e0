# SPDX-License-Identifier: Apache-2.0
"""The attacks of the page's back end: each takes place, and ends as the library promises.

The tests of this module build on each other's conversation, and each also stands alone.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.demo.web.support import RunningPage
from tests.support.service import require_extras

require_extras("segno")

Event = dict[str, Any]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPage]:
    with RunningPage(tmp_path_factory.mktemp("page")) as running:
        running.wait(type="ready")
        yield running


def _since(page: RunningPage, after: int, **like: object) -> list[Event]:
    return [event for event in page.events[after:] if like.items() <= event.items()]


def _write_to_budi(page: RunningPage) -> Event:
    """The sessions are there, both ways, and Ana is the last who has written."""
    said = page.say("budi", "whatsapp:ana", "Are you there?")
    page.wait(type="message", phone="ana", id=said["id"])
    said = page.say("ana", "instagram:budi", "I am.")
    page.wait(type="message", phone="budi", id=said["id"])
    return said


@pytest.mark.parametrize("is_first", [True, False], ids=["first message", "later message"])
def test_a_flipped_bit_is_refused_and_the_genuine_copy_opens(
    page: RunningPage, is_first: bool
) -> None:
    if not is_first:
        _write_to_budi(page)
    after = len(page.events)
    ended = page.attack("flip")
    assert ended["verdict"] == "refused"
    assert "authentication_failed" in ended["came"]
    assert "opened as it was written" in ended["came"]
    (refused,) = _since(page, after, type="notice", phone="budi", alarm=True)
    shown = _since(page, after, type="message", phone="budi", id=refused["id"])
    assert len(shown) == 1
    assert page.events.index(refused) < page.events.index(shown[0])
    (written,) = _since(page, after, type="message", phone="ana")
    assert (written["id"], written["text"]) == (shown[0]["id"], shown[0]["text"])
    from_ana = {"type": "blob", "step": "deposited", "from": "whatsapp:ana.1"}
    blobs = _since(page, after, **from_ana, to=["instagram:budi.1"])
    assert len({blob["number"] for blob in blobs}) >= 3  # as it was written, flipped, and again


def test_a_message_that_comes_again_is_refused(page: RunningPage) -> None:
    said = _write_to_budi(page)
    after = len(page.events)
    ended = page.attack("replay")
    assert ended["verdict"] == "refused"
    assert "duplicate_message" in ended["came"]
    page.wait(after=after, type="notice", phone="budi", id=said["id"], code="duplicate_message")
    assert not _since(page, after, type="message", phone="budi", id=said["id"])


def test_a_message_for_somebody_else_is_refused(page: RunningPage) -> None:
    said = _write_to_budi(page)
    after = len(page.events)
    ended = page.attack("readdress")
    assert ended["verdict"] == "refused"
    page.wait(after=after, type="notice", phone="toko", id=said["id"], alarm=True)
    page.wait(after=after, type="blob", step="fetched", to=["messenger:toko-kopi.1"])
    assert not _since(page, 0, type="message", phone="toko", id=said["id"])


def test_nobody_sends_to_a_device_that_its_user_has_not_confirmed(page: RunningPage) -> None:
    after = len(page.events)
    ended = page.attack("add_device")
    assert ended["verdict"] == "refused"
    assert "whatsapp:ana.3" in ended["did"]
    (written,) = _since(page, after, type="message", phone="budi", own=True)
    page.wait(after=after, type="message", phone="ana", id=written["id"])
    recipients = {each for blob in _since(page, 0, type="blob") for each in blob["to"]}
    assert "whatsapp:ana.2" in recipients
    assert "whatsapp:ana.3" not in recipients
    again = page.attack("add_device")  # within the time in which a phone asks for no list again
    assert (again["verdict"], "before" in again["came"]) == ("refused", True)
    recipients = {each for blob in _since(page, 0, type="blob") for each in blob["to"]}
    assert "whatsapp:ana.3" not in recipients
    said = page.say("budi", "whatsapp:ana", "Still there?")  # the true list is back
    page.wait(type="message", phone="laptop", id=said["id"])


@pytest.mark.parametrize("has_group", [False, True], ids=["without a group", "with one"])
def test_nobody_sends_to_a_member_that_no_member_has_added(
    page: RunningPage, has_group: bool
) -> None:
    members = ["whatsapp:ana", "messenger:toko-kopi"]
    if has_group:
        page.done(action="group", phone="budi", title="Others", members=members)
    ended = page.attack("add_member")
    assert ended["verdict"] == "refused"
    assert ("Ana made one first" in ended["did"]) is not has_group
    assert "messenger:somebody" in ended["did"]
    recipients = {each for blob in _since(page, 0, type="blob") for each in blob["to"]}
    assert "messenger:somebody.1" not in recipients
    chats = _since(page, 0, type="chat")
    assert not any("messenger:somebody" in chat["members"] for chat in chats)


@pytest.mark.parametrize(
    ("owner", "member"), [("toko", "whatsapp:ana"), ("ana", "messenger:toko-kopi")]
)
def test_nor_where_budi_is_in_no_group(page: RunningPage, owner: str, member: str) -> None:
    page.done(action="group", phone=owner, title="Just we two", members=[member])
    ended = page.attack("add_member")  # at once: the other phone may not have got the group yet
    assert (ended["verdict"], "made one first" in ended["did"]) == ("refused", False)
    assert "Budi" not in ended["came"]


def test_a_hidden_message_is_noticed_by_nobody(page: RunningPage) -> None:
    said = _write_to_budi(page)
    after = len(page.events)
    ended = page.attack("hide")
    assert ended["verdict"] == "not noticed"
    (hidden,) = _since(page, after, type="message", phone="ana")
    assert not _since(page, 0, type="message", phone="budi", id=hidden["id"])
    assert not _since(page, after, type="notice", id=hidden["id"])
    assert page.attack("replay")["verdict"] == "refused"  # of the one that has come
    assert _since(page, after, type="notice", phone="budi", id=said["id"])


def test_a_phone_that_is_set_back_is_noticed(page: RunningPage) -> None:
    after = len(page.events)
    ended = page.attack("restore")
    assert ended["verdict"] == "noticed"
    assert "restored_store" in ended["came"]
    assert "reached Budi" in ended["came"]
    page.wait(after=after, type="notice", phone="ana", code="restored", alarm=True)
    said = page.say("budi", "whatsapp:ana", "Welcome back.")
    page.wait(type="message", phone="ana", id=said["id"])
    said = page.say("ana", "messenger:toko-kopi", "I am back.")
    page.wait(type="message", phone="toko", id=said["id"])


def test_swapped_keys_of_a_first_contact_show_in_the_safety_number_alone(
    page: RunningPage,
) -> None:
    after = len(page.events)
    ended = page.attack("swap_keys")
    assert ended["verdict"] == "only by comparing"
    phone = page.wait(after=after, type="phone", phone="citra")
    assert phone["address"] == "instagram:citra.1"
    (written,) = _since(page, after, type="message", phone="citra")
    page.wait(after=after, type="read_by_back_end", text=written["text"])
    shown = page.wait(after=after, type="message", phone="toko", text=written["text"])
    assert shown["from"] == "instagram:citra"
    about = [event for event in _since(page, after, type="notice") if event["alarm"]]
    assert not [event for event in about if event["phone"] in ("citra", "toko")]
    # It stays in between, and reads the answer.
    answer = page.say("toko", "instagram:citra", "Yes, freshly roasted.")
    page.wait(type="read_by_back_end", text=answer["text"])
    page.wait(type="message", phone="citra", text=answer["text"], own=False)
    citra = page.done(action="safety_number", phone="citra", of="messenger:toko-kopi")
    toko = page.done(action="safety_number", phone="toko", of="instagram:citra")
    assert citra["digits"] != toko["digits"]
    assert citra["digits"][:15] in ended["came"]
    assert toko["digits"][:15] in ended["came"]
    compared = page.done(action="compare", phone="citra", of="messenger:toko-kopi")
    assert compared["matches"] is False
    for name in ("citra", "toko"):
        page.wait(type="notice", phone=name, text=compared["sentence"], alarm=True)
    assert "only once" in page.refused(action="attack", name="swap_keys")


def test_what_others_say_is_still_read_by_nobody(page: RunningPage) -> None:
    said = page.say("ana", "messenger:toko-kopi", "Between us.")
    page.wait(type="message", phone="toko", id=said["id"])
    assert not _since(page, 0, type="read_by_back_end", text=said["text"])


def test_one_attack_at_a_time(page: RunningPage) -> None:
    number = page.done(action="attack", name="restore")["number"]
    assert "busy" in page.refused(action="attack", name="flip")
    page.wait(type="attack", number=number, state="done")
