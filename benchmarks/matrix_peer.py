# SPDX-License-Identifier: Apache-2.0
"""A home server of Matrix beside the service: what a message to one device costs there.

Synapse with one process and SQLite, as it comes: the smallest that PyPI has. It is run as a program
and asked by the client-server interface of Matrix alone, on this machine, and reaches nobody.

Source: Matrix 1.8, client-server: `register`, `sendToDevice`, `sync`.
"""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from urllib3 import HTTPConnectionPool
from urllib3.exceptions import HTTPError

__all__ = ["INSTALL", "MatrixPeer", "home_server", "is_installed"]

INSTALL: Final = "benchmarks/peers/synapse/install.sh"
_PYTHON: Final = Path(__file__).parent / "peers" / "synapse" / ".venv" / "bin" / "python"
_START_SECONDS: Final = 60
_TEXT: Final = "A" * 536
"""A ciphertext of 400 bytes, in base64, as Matrix has it."""
_CONFIG: Final = """
server_name: localhost
pid_file: {folder}/synapse.pid
signing_key_path: {folder}/signing.key
media_store_path: {folder}/media
log_config: {folder}/log.yaml
macaroon_secret_key: benchmark
form_secret: benchmark
report_stats: false
trusted_key_servers: []
federation_domain_whitelist: []
enable_registration: true
enable_registration_without_verification: true
rc_registration: {{per_second: 1000, burst_count: 1000}}
database: {{name: sqlite3, args: {{database: {folder}/synapse.db}}}}
listeners:
  - {{port: {port}, type: http, bind_addresses: [127.0.0.1], resources: [{{names: [client]}}]}}
"""
_LOG: Final = """
version: 1
handlers: {{file: {{class: logging.FileHandler, filename: {folder}/synapse.log}}}}
root: {{level: WARNING, handlers: [file]}}
"""


def is_installed() -> bool:
    """Whether it is there, by `INSTALL`."""
    return _PYTHON.exists()


class MatrixPeer:
    """A home server, with a device that sends and one that receives.

    Args:
        port: on this machine.
        pid: of its process.
    """

    def __init__(self, port: int, pid: int) -> None:
        self.pid = pid
        self._pool = HTTPConnectionPool("127.0.0.1", port, maxsize=1, timeout=60)
        self._sent = 0
        self._ana = self._budi = ""
        self._messages: dict[str, Any] = {}

    def register(self) -> None:
        """Register both devices."""
        self._ana = self._register("ana")["access_token"]
        budi = self._register("budi")
        self._budi = budi["access_token"]
        content = {"algorithm": "m.olm.v1.curve25519-aes-sha2", "ciphertext": _TEXT}
        self._messages = {budi["user_id"]: {budi["device_id"]: content}}

    def send(self) -> None:
        """Send a message to the device that receives; it is kept when this returns."""
        self._sent += 1
        path = f"v3/sendToDevice/m.room.encrypted/{self._sent}"
        self._ask("PUT", path, self._ana, {"messages": self._messages})

    def receive(self, since: str = "") -> tuple[int, str]:
        """Ask for messages, which are then deleted up to `since`; how many came, and the next."""
        path = "v3/sync?timeout=0" + (f"&since={quote(since)}" if since else "")
        answer = self._ask("GET", path, self._budi)
        return len(answer.get("to_device", {}).get("events", ())), answer["next_batch"]

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            self._ask("GET", "versions", "")
        except (HTTPError, OSError):
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()

    def _register(self, name: str) -> dict[str, Any]:
        asked = {"auth": {"type": "m.login.dummy"}, "username": name, "password": "benchmark"}
        return self._ask("POST", "v3/register", "", asked)

    def _ask(self, method: str, path: str, token: str, body: object = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        url = f"/_matrix/client/{path}"
        answer = self._pool.urlopen(method, url, data, headers, retries=False)
        if answer.status != 200:
            raise HTTPError(f"{method} {path}: status {answer.status}")
        found: dict[str, Any] = json.loads(answer.data)
        return found


@contextlib.contextmanager
def home_server(folder: Path) -> Iterator[MatrixPeer]:
    """Start one with its files in a folder, and end it.

    Raises:
        RuntimeError: it does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "home.yaml").write_text(_CONFIG.format(folder=folder, port=port), "utf-8")
    (folder / "log.yaml").write_text(_LOG.format(folder=folder), "utf-8")
    command = [str(_PYTHON), "-m", "synapse.app.homeserver", "-c", str(folder / "home.yaml")]
    subprocess.run([*command, "--generate-keys"], check=True, capture_output=True)
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peer = MatrixPeer(port, child.pid)
    try:
        until = time.monotonic() + _START_SECONDS
        while not peer.is_up():
            if child.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Synapse does not start: {INSTALL}")
            time.sleep(0.1)
        peer.register()
        yield peer
    finally:
        peer.close()
        child.terminate()
        child.wait(30)
