# SPDX-License-Identifier: Apache-2.0
"""Check that no page of the built site makes a browser ask another server for anything.

Links that a reader follows may lead anywhere.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

_ADDRESSES = {"src", "srcset", "poster", "data", "action", "formaction"}
_OUTSIDE = re.compile(r"(?:https?:)?//")
_LOADED_BY_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")


class _Loads(HTMLParser):
    """What a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            loads = name in _ADDRESSES or (tag == "link" and name == "href")
            if loads and value and _OUTSIDE.match(value):
                self.found.append(f"<{tag} {name}={value}>")


def main() -> int:
    """Print what is loaded from elsewhere; 1 if anything is, or if there is no site."""
    site = Path(sys.argv[1])
    pages = sorted(site.rglob("*.html"))
    problems = [] if pages else [f"no page in {site}"]
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text("utf-8"))
        problems += [f"{page.relative_to(site)}: {found}" for found in loads.found]
    for sheet in sorted(site.rglob("*.css")):
        found = _LOADED_BY_CSS.findall(sheet.read_text("utf-8"))
        problems += [f"{sheet.relative_to(site)}: {address}" for address in found]
    print("\n".join(problems) or f"{len(pages)} pages load nothing from elsewhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
