# SPDX-License-Identifier: Apache-2.0
"""How the page of the demo begins and ends: what it needs, what it leaves, how it is called."""

import importlib
import os
import signal
import socket
import time
import urllib.parse
from pathlib import Path

import pytest

from tests.cli.support import call
from tests.demo.web.support import RunningPage
from tests.support.service import require_extras

require_extras("segno")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _expect_nothing_left(page: RunningPage, number: signal.Signals) -> None:
    began = time.monotonic()
    ended = page.end(number)
    assert (ended.code, ended.out, ended.err) == (130, "", "")
    assert time.monotonic() - began < 15  # usually a fraction of a second
    assert list(page.folder.iterdir()) == []
    for event in page.events:
        if event["type"] == "phone":
            assert not _is_alive(event["process"])
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.1", page.port)) != 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_the_phones_start_ends_everything(
    tmp_path: Path, number: signal.Signals
) -> None:
    with RunningPage(tmp_path) as page:
        asked = {"phone": "ana", "chat": "instagram:budi", "text": "x"}
        assert "starting" in page.refused(action="send", **asked)
        assert "starting" in page.refused(action="attack", name="flip")
        if number is not signal.SIGTERM:
            page.wait(type="phone")
        _expect_nothing_left(page, number)


def test_a_signal_ends_everything_in_the_midst_of_an_attack(tmp_path: Path) -> None:
    with RunningPage(tmp_path) as page:
        page.wait(type="ready")
        page.done(action="attack", name="swap_keys")
        page.wait(type="phone", phone="citra")
        _expect_nothing_left(page, signal.SIGINT)


def test_the_browser_is_led_to_the_page_and_its_arguments_give_nothing_away(
    tmp_path: Path,
) -> None:
    """Others on this machine see the arguments of all processes, and not files of ours."""
    seen, folder = tmp_path / "seen", tmp_path / "temporary"
    folder.mkdir()
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {seen}.part\nmv {seen}.part {seen}\n')
    browser.chmod(0o700)
    with RunningPage(folder, browser=f"{browser} %s") as page:
        ends = time.monotonic() + 60
        while not seen.exists():
            assert time.monotonic() < ends
            time.sleep(0.05)
        (argument,) = seen.read_text("utf-8").splitlines()
        assert page.token not in argument
        way = Path(urllib.parse.urlparse(argument).path)
        assert argument == way.as_uri()
        assert way.is_relative_to(folder)
        assert (way.stat().st_mode & 0o777, way.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert f'content="0; url={page.url}"' in way.read_text("utf-8")
        _expect_nothing_left(page, signal.SIGTERM)


# --- How it is called ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--web", "--json"], ["--web", "--dir", "x"], ["--web", "--network"]),
        *(["--web", "--fleet"], ["--port", "8000"], ["--no-browser"]),
        *(["--web", "--port", "65536"], ["--web", "--port", "-1"], ["--web", "--port", "x"]),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_refused(arguments: list[str]) -> None:
    ended = call("demo", *arguments)
    assert ended.code == 2
    assert "--port" in ended.err or "--web" in ended.err or "--network" in ended.err


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ended = call("demo", "--web", "--no-browser", "--port", port)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("e2ecross demo: failed: ")
    assert port in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("room", ["segno", "e2ecross.service.serving"])
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    import_module = importlib.import_module

    def without(name: str) -> object:
        if name == room:
            raise ImportError(name)
        return import_module(name)

    monkeypatch.setattr(importlib, "import_module", without)
    ended = call("demo", "--web", "--no-browser")
    assert (ended.code, ended.out) == (1, "")
    assert "pip install 'e2ecross[demo]'" in ended.err
    assert len(ended.err.splitlines()) == 1
