# SPDX-License-Identifier: Apache-2.0
"""Conversations on the page, typed into it: they cross, and the back end reads none."""

import re
from itertools import permutations
from pathlib import Path
from typing import Final

import pytest

from tests.support.browser import require_browser
from tests.support.service import require_extras

require_browser()
require_extras("segno")

from selenium.webdriver.common.keys import Keys

from e2ecross.demo.photo import draw_photo
from e2ecross.protocol.safety_number import SafetyNumber
from tests.browser.page import Page, Phone, wait

TITLES: Final = {"ana": "Ana", "budi": "Budi", "toko": "Toko Kopi"}
ADDRESSES: Final = {"ana": "whatsapp:ana", "budi": "instagram:budi", "toko": "messenger:toko-kopi"}


def read_code(page: Page, phone: str) -> bytes:
    """The bytes of a QR code that is drawn, as a scanner reads it."""
    zxingcpp = pytest.importorskip("zxingcpp")
    svg = f".number[data-phone={phone}] svg"
    ((size, drawn),) = page.each(
        svg, "[node.viewBox.baseVal.width, node.lastChild.attributes.d.value]"
    )
    rows = [bytearray(b"\xff" * size) for _ in range(size)]
    for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)", drawn):
        for at in range(int(run)):
            rows[int(y) + 4][int(x) + 4 + at] = 0
    pixels = [bytes(byte for byte in row for _ in range(4)) for row in rows for _ in range(4)]
    image = memoryview(b"".join(pixels)).cast("B", (len(pixels), len(pixels[0])))
    (found,) = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    return bytes(found.bytes)


@pytest.mark.parametrize(("sender", "recipient"), [*permutations(TITLES, 2)])
def test_a_message_crosses_and_the_back_end_sees_bytes(
    page: Page, sender: str, recipient: str
) -> None:
    text = f"From {sender} to {recipient}, très excité ☕"
    before = page.newest_blob()
    page.phone(sender).send(TITLES[recipient], text)
    page.phone(recipient).open_chat(TITLES[sender])
    page.phone(recipient).wait_for(text)
    way = f"{ADDRESSES[sender]}.1 → {ADDRESSES[recipient]}.1"
    wait(lambda: any(way in blob for blob in page.blobs_after(before)), way)
    assert text not in page.text("#wire")
    assert text[:12] not in bytes.fromhex(
        "".join(re.findall(r"\b[0-9a-f]{2}\b", page.text("#wire")))
    ).decode("latin-1")
    assert page.text("#sum-read") == "0"


@pytest.mark.parametrize("sender", TITLES)
def test_the_laptop_has_what_the_phone_has(page: Page, sender: str) -> None:
    text = f"{sender} says it once"
    other = "toko" if sender == "ana" else "ana"
    page.phone(sender).send(TITLES[other], text)
    if "ana" in (sender, other):
        page.laptop.open_chat(TITLES[other if sender == "ana" else sender])
        page.laptop.wait_for(text)
        own = "own" in (page.find(page.laptop.message(text)).get_attribute("class") or "")
        assert own == (sender == "ana")


def test_what_the_laptop_writes_is_on_the_phone(page: Page) -> None:
    page.laptop.send("Budi", "typed with all ten fingers")
    page.budi.open_chat("Ana")
    page.budi.wait_for("typed with all ten fingers")
    page.ana.open_chat("Budi")
    page.ana.wait_for("typed with all ten fingers")


def test_its_sender_sees_that_it_was_read(page: Page) -> None:
    page.ana.open_chat("Budi")
    page.budi.open_chat("Toko Kopi")
    page.ana.send("Budi", "look at this")
    status = f"{page.ana.message('look at this')} .status"
    wait(lambda: page.text(status) == "delivered")
    wait(lambda: page.budi.unread() == ["1 unread"])
    page.budi.open_chat("Ana")
    wait(lambda: page.text(status) == "read")
    assert page.budi.unread() == []


def test_a_reaction_is_seen_by_all_and_taken_back(page: Page) -> None:
    page.budi.open_chat("Ana")
    page.ana.send("Budi", "Shall we?")
    page.budi.wait_for("Shall we?")
    page.budi.react("Shall we?", "thumbs up")
    wait(lambda: page.ana.reactions("Shall we?") == ["👍"])
    page.ana.react("Shall we?", "thumbs up")
    wait(lambda: page.budi.reactions("Shall we?") == ["👍 2"])
    page.laptop.open_chat("Budi")
    wait(lambda: page.laptop.reactions("Shall we?") == ["👍 2"])
    page.budi.react("Shall we?", "thumbs up")
    wait(lambda: page.laptop.reactions("Shall we?") == ["👍"])
    page.budi.react("Shall we?", "heart")
    wait(lambda: page.budi.reactions("Shall we?") == ["👍", "❤️"])


def pictures(phone: Phone) -> list[int]:
    """The widths of the pictures that are shown; 0 for one that is not there yet."""
    return phone.page.each(f"{phone.node} .messages img", "node.naturalWidth")


def wait_for_pictures(phone: Phone, count: int) -> None:
    wait(lambda: len(pictures(phone)) == count and all(pictures(phone)), phone.name)


def test_the_photo_of_the_demo_arrives(page: Page) -> None:
    page.toko.open_chat("Ana")
    page.ana.open_chat("Toko Kopi")
    page.laptop.open_chat("Toko Kopi")
    before = len(pictures(page.toko))
    page.ana.show()
    page.click(f"{page.ana.node} [data-do=picture]")
    page.click("#picture-demo")
    for phone in (page.toko, page.ana, page.laptop):
        wait_for_pictures(phone, before + 1)
    assert any("file" in blob for blob in page.texts(".blob .kind"))


def test_a_picture_of_ones_own_arrives(page: Page, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(draw_photo())
    (tmp_path / "huge.png").write_bytes(bytes(1 + (1 << 20)))
    page.ana.open_chat("Budi")
    before = len(pictures(page.ana))
    page.budi.open_chat("Ana")
    page.click(f"{page.budi.node} [data-do=picture]")
    page.find("#picture-file").send_keys(str(tmp_path / "huge.png"))
    wait(lambda: "1 MiB" in page.text("#picture-dialog .trouble"))
    (tmp_path / "empty.png").touch()
    page.find("#picture-file").send_keys(str(tmp_path / "empty.png"))
    wait(lambda: "empty" in page.text("#picture-dialog .trouble"))
    page.find("#picture-file").send_keys(str(tmp_path / "mine.png"))
    wait_for_pictures(page.ana, before + 1)
    assert not page.shown("#picture-dialog")


def test_a_group_of_three_apps(page: Page) -> None:
    page.click(f"{page.budi.node} .new-group")
    page.click("#group-dialog .main-action")
    assert page.shown("#group-dialog")  # a name is asked for
    page.press("Saturday", Keys.ENTER)
    wait(lambda: page.budi.title() == "Saturday")
    members = page.text(f"{page.budi.node} .members")
    assert members in ("You, Ana and Toko Kopi", "You, Toko Kopi and Ana")
    page.budi.send("Saturday", "Who brings the thermos?")
    before = page.newest_blob()
    for phone in (page.ana, page.toko):
        phone.open_chat("Saturday")
        phone.wait_for("Who brings the thermos?")
        phone.send("Saturday", f"{phone.name} does")
        page.budi.wait_for(f"{phone.name} does")
    page.laptop.open_chat("Saturday")
    for text in ("Who brings the thermos?", "ana does", "toko does"):
        page.laptop.wait_for(text)
    authors = page.texts(f"{page.laptop.node} .author")
    assert authors == ["Budi", "Toko Kopi"]
    assert any("group message" in blob for blob in page.blobs_after(before))
    assert "Saturday" not in page.text("#wire")


def test_pressed_twice_it_is_done_once(page: Page) -> None:
    page.budi.open_chat("Toko Kopi")
    before, groups = len(pictures(page.budi)), len(page.budi.chats())
    page.click(f"{page.budi.node} [data-do=picture]")
    page.run("for (let n = 0; n < 3; n++) document.getElementById('picture-demo').click()")
    wait_for_pictures(page.budi, before + 1)
    page.click(f"{page.budi.node} .new-group")
    page.press("Once")
    page.run(
        "for (let n = 0; n < 3; n++) document.querySelector('#group-dialog form').requestSubmit()"
    )
    wait(lambda: page.budi.title() == "Once")
    page.budi.send("Once", "Who hears me?")  # after whatever else was asked for
    page.toko.open_chat("Once")
    page.toko.wait_for("Who hears me?")
    assert len(page.budi.chats()) == groups + 1
    page.budi.open_chat("Toko Kopi")
    assert len(pictures(page.budi)) == before + 1


def test_what_cannot_be_done_is_said_in_a_sentence(page: Page) -> None:
    page.laptop.show()
    page.click(f"{page.laptop.node} .new-group")
    page.press("Not from here", Keys.ENTER)
    wait(lambda: page.text("#group-dialog .trouble"))
    page.click("#group-dialog [data-close]")
    assert not page.shown("#group-dialog")
    assert "Not from here" not in page.laptop.chats()


@pytest.mark.parametrize(("one", "other"), [("ana", "budi"), ("toko", "ana"), ("budi", "toko")])
def test_safety_numbers_are_equal_on_both_phones(page: Page, one: str, other: str) -> None:
    page.phone(one).send(TITLES[other], "ours?")
    page.phone(other).open_chat(TITLES[one])
    page.phone(other).wait_for("ours?")
    page.phone(one).show()
    page.click(f"{page.phone(one).node} .verify")
    wait(lambda: len(page.texts("#numbers .number")) == 2)
    assert page.texts("#numbers h3") == [f"{TITLES[one]}'s phone", f"{TITLES[other]}'s phone"]
    left, right = page.texts("#numbers .digits")
    assert left == right
    assert re.fullmatch(r"(\d{5} ){12}", left)
    digits = left.replace(" ", "")
    mine, theirs = (SafetyNumber(digits, read_code(page, phone)) for phone in (one, other))
    assert mine.matches(theirs.scannable)
    page.click("#compare")
    wait(lambda: page.text("#outcome"))
    assert page.find("#outcome").get_attribute("data-matches") == "true"
    page.click("#number-dialog [data-close]")
    assert not page.shown("#number-dialog")


def test_what_somebody_types_is_text_and_nothing_else(page: Page) -> None:
    text = "<img src=x onerror=alert(1)><b>bold</b> & <script>alert(2)</script>"
    page.budi.open_chat("Ana")
    page.ana.send("Budi", text)
    page.budi.wait_for(text)
    assert page.run("return document.querySelectorAll('.text *').length") == 0
    page.click(f"{page.ana.node} .new-group")
    page.press("<i>x</i>", Keys.ENTER)
    wait(lambda: page.ana.title() == "<i>x</i>")
    assert page.run("return document.querySelectorAll('.phone i').length") == 0


def test_a_draft_stays_with_its_chat(page: Page) -> None:
    page.ana.open_chat("Budi")
    page.find(page.ana.input).send_keys("for Budi")
    page.ana.open_chat("Toko Kopi")
    assert page.find(page.ana.input).get_property("value") == ""
    page.ana.open_chat("Budi")
    assert page.find(page.ana.input).get_property("value") == "for Budi"
    page.click(f"{page.ana.node} .send")
    page.ana.wait_for("for Budi")
    assert page.find(page.ana.input).get_property("value") == ""


def test_a_reload_shows_the_same(page: Page) -> None:
    page.budi.open_chat("Ana")
    page.ana.send("Budi", "still there?")
    page.budi.wait_for("still there?")
    page.budi.react("still there?", "party")
    wait(lambda: page.ana.reactions("still there?") == ["🎉"])
    status = f"{page.ana.message('still there?')} .status"
    wait(lambda: page.text(status) == "read")

    def everything() -> list[str]:
        # But receipts, of which some may be on their way.
        said = (".text", ".author", ".chip", ".meta :first-child", ".notice")
        return page.texts(", ".join([*(f".messages {part}" for part in said), ".with", ".name"]))

    before, blobs = everything(), page.newest_blob()
    assert before
    page.reload()
    wait(lambda: everything() == before, (before, everything()))
    wait(lambda: page.text(status) == "read")
    assert page.newest_blob() >= blobs
