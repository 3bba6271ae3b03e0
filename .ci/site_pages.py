# SPDX-License-Identifier: Apache-2.0
"""Give the site the files of the repository at their paths; a hook of mkdocs (mkdocs.yml).

The site is laid out as the repository is: `README.md` is its first page, what is in `docs/` is in
`docs/`, and what a page links to comes along. So each link leads to the same as in the repository.
A link to a folder, which is no page, is left as text.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("*.md", "docs/**/*.md", "tests/interop/*.md", "tests/vectors/*.md")

_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of `docs_dir` by all pages, and by what they link to or show."""
    theme = [file for file in files if not file.src_uri.endswith(".md") and file.inclusion]
    from_docs = Path(config["docs_dir"])
    kept = [file for file in theme if not _is_below(file, from_docs)]
    pages = sorted({path for pattern in PAGES for path in ROOT.glob(pattern)})
    linked = {target for page in pages for target in _targets(page) if target.is_file()}
    paths = sorted({*pages, *linked})
    return Files([*kept, *(_file(path, config) for path in paths)])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave of a link to a folder its text."""
    here = ROOT / page.file.src_uri

    def text_of(match: re.Match[str]) -> str:
        target = _target(here, match[2])
        return match[1] if target is not None and target.is_dir() else match[0]

    return _LINK.sub(text_of, markdown)


def _file(path: Path, config: MkDocsConfig) -> File:
    uri = path.relative_to(ROOT).as_posix()
    return File(uri, str(ROOT), config["site_dir"], config["use_directory_urls"])


def _is_below(file: File, folder: Path) -> bool:
    source = file.abs_src_path
    return source is not None and Path(source).is_relative_to(folder)


def _targets(page: Path) -> list[Path]:
    links = _LINK.findall(page.read_text("utf-8"))
    return [target for _, link in links if (target := _target(page, link)) is not None]


def _target(page: Path, link: str) -> Path | None:
    parts = urlsplit(link)
    if parts.scheme or not parts.path:
        return None
    target = (page.parent / parts.path).resolve()
    return target if target.is_relative_to(ROOT) else None
