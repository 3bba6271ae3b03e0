# SPDX-License-Identifier: Apache-2.0
"""The page as its tests use it: what a person would press, type and read."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.support.browser import Browser

__all__ = ["PHONES", "Page", "Phone", "wait"]

PHONES: Final = ("ana", "laptop", "budi", "toko")
_SECONDS: Final = 60
"""How long something may take that takes a second where nothing else runs."""

Seen = TypeVar("Seen")


def wait(look: Callable[[], Seen], what: object = "") -> Seen:
    """Look again and again until there is something to see, and return it."""
    give_up = time.monotonic() + _SECONDS
    while not (seen := look()):
        assert time.monotonic() < give_up, what or look
        time.sleep(0.03)
    return seen


class Page:
    """The page in a browser.

    Args:
        browser: one that runs.
        url: where the page is.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = url
        self.driver = browser.driver
        self.ana, self.laptop, self.budi, self.toko = (Phone(self, name) for name in PHONES)

    def load(self) -> None:
        """Open it anew, as in a new tab, and wait until all phones are there."""
        if self.driver.current_url == self.url:
            self.run("sessionStorage.clear()")
        self.reload()

    def reload(self) -> None:
        """Load it again in this tab."""
        self.driver.get(self.url)
        wait(lambda: self.run("return document.body.classList.contains('settled')"))
        wait(lambda: self.text("#state") == "All phones are there")

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401
        """Run a script in it."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """The first element that there is."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        """Press what can be seen there, once it can be."""
        wait(lambda: self.shown(selector), selector)
        self.each(selector, "node.scrollIntoView({ block: 'center' })")
        self.find(selector).click()

    def shown(self, selector: str) -> bool:
        """Whether there is one that takes room on the screen."""
        return any(self.each(selector, "true", shown=True))

    def each(self, selector: str, expression: str, *, shown: bool = False) -> list[Any]:
        """What a script says of each `node` that there is, or of those that can be seen."""
        seen = ".filter((node) => node.checkVisibility())" if shown else ""
        nodes = f"[...document.querySelectorAll(arguments[0])]{seen}"
        return list(self.run(f"return {nodes}.map((node) => {expression})", selector))

    def texts(self, selector: str) -> list[str]:
        """The text of each element that there is."""
        return self.each(selector, "node.textContent")

    def text(self, selector: str) -> str:
        """The text of the first element, or none."""
        return next(iter(self.texts(selector)), "")

    def press(self, *keys: str) -> None:
        """Type on the keyboard, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def phone(self, name: str) -> "Phone":
        """One of the four."""
        return {phone.name: phone for phone in (self.ana, self.laptop, self.budi, self.toko)}[name]

    def newest_blob(self) -> int:
        """The number of the newest blob that the back end was seen to get; 0 for none."""
        return max(self.each(".blob[data-number]", "Number(node.dataset.number)"), default=0)

    def blobs_after(self, number: int) -> list[str]:
        """What is shown of the blobs that came later, the newest first."""
        blobs = self.each(".blob[data-number]", "[Number(node.dataset.number), node.textContent]")
        return [text for at, text in blobs if at > number]

    def attack(self, name: str) -> tuple[str, str, str]:
        """Have the back end attack; its verdict, what it did, and what came of it."""
        before = len(self.texts("#log > li"))
        self.click(f"[data-attack={name}]")
        newest = "#log > li:first-child"
        wait(lambda: len(self.texts("#log > li")) > before, name)
        wait(lambda: self.find(newest).get_attribute("data-state") == "done", name)
        assert self.find(newest).get_attribute("data-name") == name
        return (
            str(self.find(newest).get_attribute("data-verdict")),
            self.text(f"{newest} .did"),
            self.text(f"{newest} .came"),
        )


class Phone:
    """One phone, or the laptop, on the page."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.node = f"#phone-{name}"
        self.input = f"{self.node} .composer input"

    def show(self) -> None:
        """See that it can be seen: of Ana's two devices one is."""
        if self.name in ("ana", "laptop"):
            self.page.click(f"[data-device={self.name}]")

    def chats(self) -> list[str]:
        """The names in its list of chats."""
        return self.page.texts(f"{self.node} .chats button[aria-current] .name")

    def open_chat(self, title: str) -> None:
        """Press on a chat, once it is there."""
        self.show()
        wait(lambda: title in self.chats(), title)
        number = self.chats().index(title) + 1
        self.page.click(f"{self.node} .chats button:nth-child({number})")
        wait(lambda: self.title() == title)

    def title(self) -> str:
        """Of the chat that is open."""
        return self.page.text(f"{self.node} .with h3")

    def unread(self) -> list[str]:
        """What is told of unread messages beside the chats."""
        return self.page.texts(f"{self.node} .chats .count")

    def send(self, title: str, text: str) -> None:
        """Type into a chat, and press Enter."""
        self.open_chat(title)
        self.page.find(self.input).send_keys(text, Keys.ENTER)
        self.wait_for(text)

    def texts(self) -> list[str]:
        """The messages of the chat that is open."""
        return self.page.texts(f"{self.node} .messages .text")

    def wait_for(self, text: str) -> None:
        """Wait until the chat that is open has that message once."""
        wait(lambda: text in self.texts(), f"{self.name}: {text}")
        assert self.texts().count(text) == 1

    def message(self, text: str) -> str:
        """A selector for the message with that text, in the chat that is open."""
        told = "[node.dataset.id, node.querySelector('.text')?.textContent]"

        def find() -> list[str]:
            messages = self.page.each(f"{self.node} .message", told)
            return [name for name, shown in messages if shown == text]

        found = wait(find, text)[0]
        return f'{self.node} .message[data-id="{found}"]'

    def react(self, text: str, label: str) -> None:
        """React to a message with the emoji of that name, or take that back."""
        message = self.message(text)
        # Seen on a pointer that hovers, which no test has.
        self.page.find(f"{message} .react").send_keys(Keys.ENTER)
        self.page.click(f'{message} .tray [aria-label="{label}"]')

    def reactions(self, text: str) -> list[str]:
        """What stands below a message."""
        return self.page.texts(f"{self.message(text)} .chip > :first-child")
