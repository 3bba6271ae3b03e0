# SPDX-License-Identifier: Apache-2.0
"""docs/examples: each is run as its users run it, against a service, in a process of its own."""

import hashlib
import hmac
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from tests.support.service import LiveService, require_extras

require_extras("fastapi", "segno")

from e2ecross import Address, Client, Device, InboxItem, Message, Text
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend
from e2ecross.stores import MemoryStore, SQLiteStore
from tests.cli.support import read_qr_bytes
from tests.support.documents import ROOT

EXAMPLES: Final = ROOT / "docs" / "examples"
FILES: Final = sorted(EXAMPLES.glob("*.py"))
_PATIENCE_S: Final = 60


class Running:
    """An example, until the block ends."""

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        self._folder, self._command = folder, command
        self._environment = environment
        self._lines: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> Self:
        path = os.pathsep.join([str(ROOT), str(EXAMPLES)])
        self.process = subprocess.Popen(
            [sys.executable, *self._command],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env=os.environ
            | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
            | self._environment,
        )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait(_PATIENCE_S)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as out:
            for line in out:
                self._lines.put(line)
        self._lines.put(None)

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def until(self, text: str) -> str:
        """What it says up to the line that has the text, with it."""
        said = ""
        while (line := self._lines.get(timeout=_PATIENCE_S)) is not None:
            said += line
            if text in line:
                return said
        raise AssertionError(f"{text!r} is not in:\n{said}")

    def end(self, ending: signal.Signals | None = None) -> str:
        """The rest of what it says until it has ended well."""
        if ending is not None:
            self.process.send_signal(ending)
        said = ""
        while (line := self._lines.get(timeout=_PATIENCE_S)) is not None:
            said += line
        # uvicorn ends well, and then by the signal that it was sent.
        assert self.process.wait(_PATIENCE_S) in (0, -(ending or 0)), said
        return said


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with (
        Relay(tmp_path / "relay.db", authorise=lambda *_: True) as relay,
        LiveService(relay) as service,
    ):
        yield service.url


@pytest.fixture
def budi(url: str) -> Client:
    device = Device.create(Address("instagram", "budi"), MemoryStore())
    client = Client(device, HTTPBackend(url), wait_ms=2_000)
    client.register()
    return client


def heard(client: Client) -> list[str]:
    """The texts that come next."""
    began = time.monotonic()
    items: list[InboxItem] = []
    while not items:
        assert time.monotonic() < began + _PATIENCE_S
        items = client.receive()
    client.confirm(items)
    return [
        item.content.text
        for item in items
        if isinstance(item, Message) and isinstance(item.content, Text)
    ]


def new_key(folder: Path) -> str:
    folder.joinpath("key").write_bytes(secrets.token_bytes(32))
    return "key"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    assert path.read_text("utf-8").count("\n") < 120


def test_each_example_is_run_here_and_described() -> None:
    here = Path(__file__).read_text("utf-8")
    page = EXAMPLES.joinpath("README.md").read_text("utf-8")
    for path in FILES:
        assert f"def test_{path.stem}" in here
        assert f"]({path.name})" in page


def test_chat(url: str, tmp_path: Path) -> None:
    def chat(user: str, store: str, *options: str) -> Running:
        script = str(EXAMPLES / "chat.py")
        return Running(tmp_path, script, "--url", url, "--store", store, *options, user)

    def opened(running: Running) -> None:
        running.type("five words that nobody guesses")
        running.until("You are")

    with chat("whatsapp:ana", "ana.db") as ana, chat("instagram:budi", "budi.db") as budi:
        opened(ana)
        opened(budi)
        ana.type("instagram:budi halo Budi")
        ana.until("sent")
        assert "whatsapp:ana: halo Budi\n" in budi.until("halo Budi")

        ana.type("/verify instagram:budi")
        shown = ana.until("█")
        while not shown.splitlines()[-1][:5].isdecimal():
            shown += ana.until("\n")
        tmp_path.joinpath("scanned").write_bytes(read_qr_bytes(shown))
        tmp_path.joinpath("other").write_bytes(read_qr_bytes(shown)[:-1] + b"?")
        budi.type("/scan whatsapp:ana other")
        budi.until("NOT the code of whatsapp:ana")
        budi.type("/scan whatsapp:ana scanned")
        budi.until("whatsapp:ana is verified")
        budi.type("/verify whatsapp:ana")
        budi.until(shown.splitlines()[-1])  # the same digits

        ana.type("/backup ana.backup")
        ana.until("kept in ana.backup")
        ana.type("/nonsense")
        ana.until("/quit")
        ana.type("/quit")
        ana.end()

        # The phone is lost. On a new one the account goes on; Budi sees no other key.
        with chat("whatsapp:ana", "new.db", "--restore", "ana.backup") as new_phone:
            opened(new_phone)
            new_phone.type("instagram:budi my phone is gone, I am not")
            new_phone.until("sent")
            said = budi.until("I am not")
            assert "new key" not in said
            assert "identity" not in said
            budi.type("whatsapp:ana welcome back")
            new_phone.until("instagram:budi: welcome back")
            budi.type("/same whatsapp:nobody")
            budi.until("/quit")  # the help
            budi.type("/same whatsapp:ana")
            budi.until("whatsapp:ana is verified")
            new_phone.type("/quit")
            new_phone.end()


def test_bot(url: str, tmp_path: Path, budi: Client) -> None:
    options = ["--url", url, "--store", "bot.db", "--key-file", new_key(tmp_path)]
    with Running(tmp_path, str(EXAMPLES / "bot.py"), *options, "messenger:bot") as bot:
        bot.until("messenger:bot answers")
        budi.send("messenger:bot", Text("roll"))
        [rolled] = heard(budi)
        assert rolled in set("123456")
        budi.send("messenger:bot", Text("what?"))
        [told] = heard(budi)
        assert "remind SECONDS" in told
        budi.send("messenger:bot", Text("remind 0 water the plants"))
        answers = heard(budi)
        while len(answers) < 2:
            answers += heard(budi)
        assert sorted(answers) == ["I will", "water the plants"]
        bot.end(signal.SIGTERM)


def test_webhook(url: str, tmp_path: Path, budi: Client) -> None:
    settings = {"SHOP_URL": url, "SHOP_ADDRESS": "whatsapp:toko", "SHOP_STORE": "shop.db"}
    settings |= {"SHOP_KEY_FILE": new_key(tmp_path), "HOOK_SECRET": "of the shop system"}
    command = ["-m", "uvicorn", "webhook:app", "--port", "0"]

    with Running(tmp_path, *command, **settings) as shop:
        place = shop.until("Uvicorn running on").split("running on ")[1].split()[0]

        def call(event: dict[str, str], secret: bytes = b"of the shop system") -> tuple[int, str]:
            body = json.dumps(event).encode()
            signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
            request = urllib.request.Request(  # noqa: S310
                f"{place}/hooks/orders", body, {"X-Signature": signature}
            )
            try:
                with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()

        event = {"id": "1", "customer": "instagram:budi", "order": "4711", "status": "on its way"}
        assert call(event, b"of somebody else")[0] == 401
        assert call(event) == (200, '{"message":"sent"}')
        assert call(event) == (200, '{"message":"sent"}')  # told twice, sent once
        assert heard(budi) == ["order 4711: on its way"]
        assert call(event | {"id": "2", "customer": "instagram:nobody"})[0] == 404
        assert call(event | {"id": "3", "customer": "nobody"})[0] == 409
        budi.send("whatsapp:toko", Text("where is it?"))
        assert heard(budi) == ["order 4711: on its way"]
        shop.end(signal.SIGTERM)


def test_notify(url: str, tmp_path: Path, budi: Client) -> None:
    key = tmp_path.joinpath(new_key(tmp_path)).read_bytes()
    with SQLiteStore(tmp_path / "ana.db", key=key) as store:
        device = Device.create(Address("whatsapp", "ana"), store)
        app = Client(device, HTTPBackend(url))
        app.register()
        app.send("instagram:budi", Text("write to me"))
        assert heard(budi) == ["write to me"]
        command = [str(EXAMPLES / "notify.py"), "--url", url, "--store", "ana.db"]
        command += ["--key-file", "key"]
        with Running(tmp_path, *command) as notify:
            notify.until("waiting for mail")
            budi.send("whatsapp:ana", Text("a secret"))
            assert notify.until("instagram:budi") == "message from instagram:budi\n"
            assert "secret" not in notify.end(signal.SIGTERM)
        with Running(tmp_path, *command) as notify:
            notify.until("waiting for mail")
            budi.send("whatsapp:ana", Text("another"))
            assert notify.until("message") == "message from instagram:budi\n"  # not twice
            notify.end(signal.SIGTERM)
        items = Client(Device.open(store), HTTPBackend(url)).receive()
        assert [item.content for item in items if isinstance(item, Message)] == [
            Text("a secret"),
            Text("another"),
        ]
