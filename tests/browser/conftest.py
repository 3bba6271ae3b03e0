# SPDX-License-Identifier: Apache-2.0
"""One running demo and one browser for the tests of a module; of each test a page loaded anew."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.demo import WebDemo
from tests.support.browser import Browser

if TYPE_CHECKING:
    from tests.browser.page import Page


@pytest.fixture(scope="module")
def demo() -> Iterator[WebDemo]:
    with WebDemo() as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture
def page(demo: WebDemo, browser: Browser) -> Iterator["Page"]:
    """The page; in the end nothing in the console, and nobody asked but its own server."""
    from tests.browser.page import Page  # needs selenium, without which its tests are skipped

    browser.look_like()
    page = Page(browser, demo.url)
    page.load()
    yield page
    assert browser.complaints() == []
    asked = {url for url in browser.requests() if not url.startswith(("data:", "blob:"))}
    assert {url for url in asked if not url.startswith(demo.url)} == set()
    assert demo.url in asked
