# SPDX-License-Identifier: Apache-2.0
"""What the back end may try on the page, each with its verdict; and the limits, which are told."""

import re
from typing import Final

import pytest

from tests.support.browser import require_browser
from tests.support.service import require_extras

require_browser()
require_extras("segno")

from tests.browser.page import Page, wait

VERDICTS: Final = {
    "flip": ["refused"],
    "replay": ["refused"],
    "readdress": ["refused"],
    "add_device": ["refused", "noticed"],
    "add_member": ["refused"],
    "hide": ["not noticed"],
    "restore": ["refused", "noticed"],
}
"""Beside `swap_keys`, which has a test of its own: there is one first contact in a run."""
LABELS: Final = {
    "refused": "Refused",
    "noticed": "Noticed",
    "not noticed": "Not noticed",
    "only by comparing": "Only by comparing",
}


def test_there_is_a_button_for_each_attack(page: Page) -> None:
    assert page.each("[data-attack]", "node.dataset.attack") == [*VERDICTS, "swap_keys"]


@pytest.mark.parametrize("name", VERDICTS)
def test_an_attack_has_its_verdict(page: Page, name: str) -> None:
    verdict, did, came = page.attack(name)
    assert verdict in VERDICTS[name], came
    assert page.text("#log > li:first-child .badge") == LABELS[verdict]
    for sentence in (did, came):
        assert re.fullmatch(r"[A-Z].*[.!?]", sentence), sentence
    assert LABELS[verdict] in page.text("#assertive")
    # All go on as before.
    page.budi.open_chat("Ana")
    page.ana.send("Budi", f"after {name}")
    page.budi.wait_for(f"after {name}")
    page.toko.open_chat("Budi")
    page.budi.send("Toko Kopi", f"after {name}, too")
    page.toko.wait_for(f"after {name}, too")


def test_one_attack_at_a_time(page: Page) -> None:
    before = page.each("#log > li", "node.dataset.name")
    pressed = page.each(
        "[data-attack=flip], [data-attack=replay]", "[node.click(), node.ariaDisabled]"
    )
    assert [disabled for _, disabled in pressed] == ["true", "true"]
    wait(lambda: len(page.texts("#log > li")) > len(before))
    wait(lambda: "running" not in page.each("#log > li", "node.dataset.state"))
    assert page.each("#log > li", "node.dataset.name") == ["flip", *before]
    wait(lambda: {*page.each("[data-attack]", "node.ariaDisabled")} == {"false"})


def test_swapped_keys_show_in_the_safety_numbers_alone(page: Page) -> None:
    verdict, _, _ = page.attack("swap_keys")
    assert verdict == "only by comparing"
    assert page.text("#sum-read") != "0"
    line = page.text("#log > li:first-child .line").removeprefix("It read: “").removesuffix("”")
    assert line in page.text("#wire")
    page.toko.open_chat("Citra")
    assert line in page.toko.texts()
    page.click("#log > li:first-child .second")
    wait(lambda: len(page.texts("#numbers .number")) == 2)
    left, right = page.texts("#numbers .digits")
    assert re.fullmatch(r"(\d{5} ){12}", left)
    assert left != right
    page.click("#compare")
    wait(lambda: page.text("#outcome"))
    assert page.find("#outcome").get_attribute("data-matches") == "false"
    page.click("#number-dialog [data-close]")
    page.click("[data-attack=swap_keys]")
    wait(lambda: page.find("#log > li:first-child").get_attribute("data-state") is None)
    assert page.texts("#log > li:first-child p") != []  # once is enough, it says


def test_a_reload_shows_the_same_log(page: Page) -> None:
    page.attack("replay")
    before = page.texts("#log > li")
    page.reload()
    wait(lambda: page.texts("#log > li") == before)
