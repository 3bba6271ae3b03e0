# SPDX-License-Identifier: Apache-2.0
"""The page for everybody: by keyboard or ear, on a phone, in the dark, without motion."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.browser.demo import WebDemo
from tests.support.browser import Browser, require_browser
from tests.support.service import require_extras

require_browser()
require_extras("segno")

from selenium.webdriver.common.keys import Keys

from tests.browser.page import Page, wait

CONTRAST: Final = Path(__file__).with_name("accessibility.js").read_text("utf-8")
NAMED: Final = {
    "alertdialog",
    "article",
    "button",
    "checkbox",
    "dialog",
    "group",
    "heading",
    "image",
    "link",
    "navigation",
    "region",
    "textbox",
}
"""Roles without a name that tell nobody anything."""
NAME_OF_NODE: Final = (
    "(node.id || node.ariaLabel || (node.querySelector('.name') ?? node).textContent.trim())"
)
FOCUSED: Final = f"""
const node = document.activeElement;
const outlines = [getComputedStyle(node), getComputedStyle(node, '::after')];
return [{NAME_OF_NODE},
    outlines.some((style) => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2),
    node === document.body];
"""
DIALOGS: Final = {
    "group-dialog": ".new-group",
    "picture-dialog": "[data-do=picture]",
    "number-dialog": ".verify",
}


@pytest.fixture(scope="module", autouse=True)
def _talked(demo: WebDemo, browser: Browser) -> None:
    """Something of each kind is on the page."""
    browser.look_like()
    page = Page(browser, demo.url)
    page.load()
    page.budi.open_chat("Ana")
    page.ana.send("Budi", "Hello")
    page.budi.wait_for("Hello")
    page.budi.react("Hello", "heart")
    page.click(f"{page.ana.node} .new-group")
    page.press("All of us", Keys.ENTER)
    wait(lambda: page.ana.title() == "All of us")
    page.ana.send("All of us", "Hello all of you")
    for name in ("flip", "hide", "swap_keys"):
        page.attack(name)


def unnamed(page: Page) -> list[str]:
    """What the browser tells a screen reader of, without saying what it is."""
    nodes = page.browser.command("Accessibility.getFullAXTree")["nodes"]
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    assert len(found) > 10
    return [role for role, name in found if role in NAMED and not name.strip()]


def stops(page: Page) -> Iterator[tuple[str, bool]]:
    """Where the tabulator leads, and whether that is seen, from the top to the end."""
    page.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.find("body").send_keys(Keys.TAB)
    first = None
    for _ in range(200):
        name, seen, is_body = page.run(FOCUSED)
        if is_body or name == first:
            return
        first = first or name
        yield name, seen
        page.press(Keys.TAB)
    raise AssertionError("the tabulator does not come to an end")


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator until that has the focus."""
    for _ in range(100):
        page.press(Keys.TAB)
        if page.run(FOCUSED)[0] == name:
            return
    raise AssertionError(name)


def wait_for_dialog(page: Page, dialog: str) -> None:
    wait(lambda: page.shown(f"#{dialog}"), dialog)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 1000, 360])
def test_texts_have_contrast_and_controls_have_names(page: Page, width: int, dark: bool) -> None:
    page.browser.look_like(width, dark=dark, still=True)
    page.load()
    for screen in ("ana", "budi", "toko", "back-end") if width < 900 else [None]:
        if screen is not None:
            page.click(f"[data-screen={screen}]")
        assert page.run(CONTRAST) == []
        assert unnamed(page) == []
    luminous = page.run(
        "return parseInt(getComputedStyle(document.documentElement).backgroundColor.slice(4))"
    )
    assert (luminous < 64) == dark
    if width < 900:
        page.click("[data-screen=ana]")
    page.ana.open_chat("Budi")
    for dialog, opener in DIALOGS.items():
        page.click(f"{page.ana.node} {opener}")
        wait_for_dialog(page, dialog)
        if dialog == "number-dialog":
            wait(lambda: len(page.texts("#numbers .number")) == 2)
        assert page.run(CONTRAST) == []
        assert unnamed(page) == []
        page.click(f"#{dialog} [data-close]")


def test_it_has_landmarks_and_one_first_heading(page: Page) -> None:
    assert page.run("return document.documentElement.lang") == "en"
    for landmark in ("header", "main", "nav", "footer", "section[aria-labelledby]"):
        assert page.run("return document.querySelectorAll(arguments[0]).length", landmark)
    assert page.run("return document.querySelectorAll('h1').length") == 1
    ids = page.each("[id]", "node.id")
    assert len(ids) == len(set(ids))
    assert page.each("main :is(h2, h3)", "node.tagName")[0] == "H2"


def test_the_keyboard_reaches_everything_and_is_seen_there(page: Page) -> None:
    found = list(stops(page))
    assert [name for name, seen in found if not seen] == []
    names = [name for name, _ in found]
    controls = "button, a, input, [tabindex='0']"
    told = f"[{NAME_OF_NODE}, node.tabIndex, node.classList.contains('react')]"
    expected = page.each(controls, told, shown=True)
    assert names == [name for name, tab, _ in expected if tab == 0]
    assert len(names) > 30
    assert [name for name, tab, react in expected if tab < 0 and not react] == []


def test_a_conversation_without_a_mouse(page: Page) -> None:
    page.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.find("body").send_keys(Keys.TAB)
    assert page.run(FOCUSED)[0] == "Skip to the attacks"
    tab_to(page, "Budi")
    page.press(Keys.ENTER)
    tab_to(page, "Message from Ana's phone to Budi")
    for text in ("one", "two", "three"):
        page.press(f"{text} by keyboard", Keys.ENTER)
        page.ana.wait_for(f"{text} by keyboard")
    page.press(Keys.SHIFT, Keys.TAB)  # over the button for pictures
    page.press(Keys.SHIFT, Keys.TAB)
    page.press(Keys.SHIFT, Keys.NULL)
    assert page.run(FOCUSED)[0] == "React to “three by keyboard”, on Ana's phone"
    page.press(Keys.ARROW_UP)
    assert page.run(FOCUSED)[0] == "React to “two by keyboard”, on Ana's phone"
    page.press(Keys.ENTER)
    assert page.run(FOCUSED)[0] == "heart"
    page.press(Keys.ESCAPE)
    assert not page.shown(".tray")
    assert page.run(FOCUSED)[0] == "React to “two by keyboard”, on Ana's phone"
    page.press(Keys.ENTER)
    page.press(Keys.TAB)
    page.press(Keys.SPACE)
    wait(lambda: page.ana.reactions("two by keyboard") == ["👍"])
    tab_to(page, "Flip one bit")
    before = len(page.texts("#log > li"))
    page.press(Keys.ENTER)
    wait(lambda: len(page.texts("#log > li")) == before + 1)
    wait(lambda: page.find("#log > li").get_attribute("data-state") == "done")
    assert page.run(FOCUSED)[0] == "Flip one bit"


@pytest.mark.parametrize("dialog", DIALOGS)
def test_escape_closes_a_dialog_and_the_focus_returns(page: Page, dialog: str) -> None:
    page.ana.open_chat("Budi")
    opener = page.find(f"{page.ana.node} {DIALOGS[dialog]}")
    opener.send_keys(Keys.ENTER)
    wait_for_dialog(page, dialog)
    assert page.run("return document.activeElement.closest('dialog').id") == dialog
    page.press(Keys.ESCAPE)
    wait(lambda: not page.shown(f"#{dialog}"))
    assert page.driver.switch_to.active_element == opener


def test_what_comes_is_announced(page: Page) -> None:
    page.budi.open_chat("Ana")
    page.ana.send("Budi", "can you hear me?")
    page.budi.wait_for("can you hear me?")
    wait(lambda: "Budi's phone: Ana: can you hear me?" in page.text("#polite"))
    page.budi.react("can you hear me?", "heart")
    wait(lambda: "Ana's phone: Budi reacted ❤️" in page.text("#polite"))
    assert page.find("#polite").get_attribute("aria-live") == "polite"
    assert page.find("#assertive").get_attribute("aria-live") == "assertive"


def test_at_360_pixels_one_screen_at_a_time(page: Page) -> None:
    page.browser.look_like(360, 740)
    page.load()
    too_wide = "return document.documentElement.scrollWidth - window.innerWidth"
    for screen in ("back-end", "toko", "budi", "ana"):
        page.click(f"[data-screen={screen}]")
        assert page.each("[data-column]", "node.dataset.column", shown=True) == [screen]
        assert page.run(too_wide) <= 0
    page.click("[data-screen=budi]")
    for title in page.budi.chats():
        page.budi.open_chat(title)
    page.click("[data-screen=ana]")
    dot = "[data-screen=budi] .dot"
    wait(lambda: not page.shown(dot))
    page.ana.open_chat("Budi")
    page.ana.send("Budi", "on a small screen")
    wait(lambda: page.shown(dot))
    page.click("[data-screen=budi]")
    page.budi.open_chat("Ana")
    page.budi.wait_for("on a small screen")
    wait(lambda: not page.shown(dot))
    page.click("[data-screen=ana]")
    for dialog, opener in DIALOGS.items():
        page.click(f"{page.ana.node} {opener}")
        wait_for_dialog(page, dialog)
        rectangle = "node.getBoundingClientRect()"
        sides = f"[{rectangle}.left, {rectangle}.right, {rectangle}.top, {rectangle}.bottom]"
        (box,) = page.each(f"#{dialog}", sides)
        assert box[0] >= 0
        assert box[1] <= 360
        assert box[2] >= 0
        assert box[3] <= 740
        page.press(Keys.ESCAPE)
    _, _, came = page.attack("replay")
    assert came
    page.reload()  # which screen was shown is remembered
    assert page.each("[data-column]", "node.dataset.column", shown=True) == ["ana"]
    sizes = "[node.textContent || node.ariaLabel || node.name, node.offsetWidth, node.offsetHeight]"
    for name, wide, high in page.each("button:not([data-attack]), input", sizes, shown=True):
        assert min(wide, high) >= 24, name  # of an attack the whole card is pressed


def test_it_says_when_the_demo_has_ended_and_when_something_is_gone(browser: Browser) -> None:
    with WebDemo() as demo:
        page = Page(browser, demo.url)
        browser.look_like()
        page.load()
        page.run("HANDLERS.truncated()")  # sent after 5,000 events
        assert "not kept" in page.text("#wire")
    wait(lambda: page.find("#state").get_attribute("data-state") == "broken")
    page.find(page.ana.input).send_keys("Anybody?", Keys.ENTER)
    wait(lambda: "ended" in page.text(f"{page.ana.node} .trouble"))
    assert page.find(page.ana.input).get_property("value") == "Anybody?"
    assert "ended" in page.text("#state")
    page.driver.get("about:blank")
    browser.complaints()
    browser.requests()


def test_nothing_moves_for_who_wants_that(page: Page) -> None:
    page.browser.look_like(still=True)
    page.load()
    page.budi.open_chat("Ana")
    watch = "window.moved = 0; document.addEventListener('animationstart', () => window.moved++)"
    page.run(watch)
    page.ana.send("Budi", "quietly")
    page.budi.wait_for("quietly")
    page.attack("replay")
    assert page.run("return window.moved") == 0
    page.browser.look_like()
    page.load()
    page.run(watch)
    page.ana.send("Budi", "and with a little motion")
    wait(lambda: page.run("return window.moved") > 0)
