# SPDX-License-Identifier: Apache-2.0
"""Pictures of the page, for the documents: `python -m tests.browser.screenshots`.

They are of a demo that is played for them, so process ids, keys and times differ each time.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.browser.demo import WebDemo
from tests.support.browser import Browser
from tests.support.documents import ROOT

if TYPE_CHECKING:
    from tests.browser.page import Page

__all__ = ["main", "parse"]

_DESKTOP: Final = (1360, 840)
_PHONE: Final = (360, 720)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots")
    images = ROOT / "docs" / "images"
    parser.add_argument("--folder", type=Path, default=images, help="where they go (docs/images)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Play, and take them."""
    from tests.browser.page import Page  # needs selenium

    folder: Path = parse(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    with WebDemo() as demo, Browser() as browser:
        page = Page(browser, demo.url)
        browser.look_like(*_DESKTOP)
        page.load()
        _talk(page)
        for colours in ("light", "dark"):
            browser.look_like(*_DESKTOP, dark=colours == "dark")
            _begin(page)
            _take(page, folder / f"page-{colours}.png")
        for name in ("flip", "hide", "swap_keys"):
            page.attack(name)
        browser.look_like(*_DESKTOP)
        _begin(page)
        page.run("document.getElementById('attacks').scrollIntoView()")
        _take(page, folder / "page-attacks.png")
        for colours, screen in (("light", "ana"), ("dark", "back-end")):
            browser.look_like(*_PHONE, scale=2, dark=colours == "dark")
            page.reload()
            page.click(f"[data-screen={screen}]")
            page.run("document.querySelector('.stage').scrollIntoView()")
            _take(page, folder / f"page-phone-{colours}.png")
    return 0


def _talk(page: "Page") -> None:
    from tests.browser.page import wait

    page.toko.open_chat("Ana")
    page.ana.send("Toko Kopi", "Hi! Do you have the Gayo beans again? I am on my last spoon.")
    page.toko.wait_for("Hi! Do you have the Gayo beans again? I am on my last spoon.")
    page.toko.send("Ana", "Hello Ana! Roasted this morning. Keep you some?")
    page.click(f"{page.toko.node} [data-do=picture]")
    page.click("#picture-demo")
    wait(lambda: not page.shown("#picture-dialog"), "the photo")
    page.ana.send("Toko Kopi", "Yes please! Half a kilo.")
    page.budi.open_chat("Ana")
    page.ana.send("Budi", "Budi! Are you still coming on Saturday?")
    page.budi.wait_for("Budi! Are you still coming on Saturday?")
    page.budi.send("Ana", "Of course! The grinder is packed.")
    page.ana.wait_for("Of course! The grinder is packed.")
    page.ana.react("Of course! The grinder is packed.", "heart")
    page.click(f"{page.ana.node} .new-group")
    page.press("Saturday", "\n")
    wait(lambda: page.ana.title() == "Saturday", "the group")
    page.budi.open_chat("Saturday")
    page.budi.send("Saturday", "9:40, platform 2")
    for phone, title in ((page.ana, "Budi"), (page.budi, "Ana"), (page.toko, "Ana")):
        phone.open_chat(title)
    chats = (page.ana, page.budi, page.toko)
    statuses = ", ".join(f"{phone.node} .messages .status" for phone in chats)
    wait(lambda: {*page.texts(statuses)} == {"read"}, "receipts")


def _begin(page: "Page") -> None:
    """See the first chats, from the top."""
    page.reload()
    for phone, title in ((page.ana, "Budi"), (page.budi, "Ana"), (page.toko, "Ana")):
        phone.open_chat(title)
    page.run("document.activeElement.blur(); window.scrollTo(0, 0)")


def _take(page: "Page", path: Path) -> None:
    page.driver.execute_async_script("setTimeout(arguments[0], 700)")  # until nothing moves
    path.write_bytes(page.driver.get_screenshot_as_png())
    print(path, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
