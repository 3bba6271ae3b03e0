# SPDX-License-Identifier: Apache-2.0
"""A Chromium of the tests' own, without a window: with a new profile, gone with it.

with Browser() as browser:
    browser.driver.get(url)
"""

import json
import os
import shutil
import tempfile
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

__all__ = ["Browser", "require_browser"]

# None of Chromium's own connections, which a machine without a network refuses one by one.
_FLAGS: Final = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--lang=en-US",
)
_PAGE_SECONDS: Final = 60


def require_browser() -> None:
    """Skip a module where there is no browser to drive; in CI that is a failure."""
    programs = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    why = ""
    if find_spec("selenium") is None:
        why = "selenium is not installed: pip install -e '.[browser]'"
    elif programs:
        why = f"{' and '.join(programs)}: not installed (apt-get install chromium chromium-driver)"
    if why:
        if os.environ.get("E2ECROSS_REQUIRE_INTEROP") == "1":
            pytest.fail(why)
        pytest.skip(why, allow_module_level=True)


class Browser:
    """A browser that runs; a context manager.

    Attributes:
        driver: how it is driven.
    """

    driver: "Chrome"

    def __enter__(self) -> Self:
        from selenium.webdriver import Chrome, ChromeOptions, ChromeService

        self._profile = tempfile.mkdtemp(prefix="chromium-")
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        for flag in (*_FLAGS, *root, f"--user-data-dir={self._profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = ChromeService(shutil.which("chromedriver"))
        self.driver = Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(_PAGE_SECONDS)
        self.driver.get("about:blank")
        self.requests()  # of the page that Chromium begins with
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    def look_like(
        self,
        width: int = 1440,
        height: int = 900,
        *,
        scale: int = 1,
        dark: bool = False,
        still: bool = False,
    ) -> None:
        """Be a screen of that many pixels; below 500 of them in width, a phone.

        Args:
            width: in CSS pixels.
            height: in CSS pixels.
            scale: pixels of the screen to one of CSS, in either direction.
            dark: its user prefers dark colours.
            still: its user prefers that nothing moves.
        """
        screen = {"width": width, "height": height, "deviceScaleFactor": scale}
        self.command("Emulation.setDeviceMetricsOverride", {**screen, "mobile": width < 500})
        wishes = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.command("Emulation.setEmulatedMedia", {"features": features})

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """Give a command of the DevTools protocol."""
        answer: dict[str, Any] = self.driver.execute_cdp_cmd(name, arguments or {})
        return answer

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]

    def complaints(self) -> list[str]:
        """What it has written into its console since it was asked before."""
        return [f"{entry['level']}: {entry['message']}" for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """The addresses that pages have asked for since it was asked before."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
