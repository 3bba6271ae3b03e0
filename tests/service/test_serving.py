# SPDX-License-Identifier: Apache-2.0
"""The service as a process: how it starts, how it stops, and what it leaves."""

import base64
import json
import os
import random
import signal
import socket
import sqlite3
import ssl
import stat
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Timer

import pytest

from tests.support.service import require_extras

require_extras()

from e2ecross.address import Address
from e2ecross.errors import BackendError, BlobGone
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend, make_credential
from tests.relay.support import ANA, BUDI, deposit, envelope, published, register, token
from tests.service.child import RelayProcess
from tests.service.test_tls import certificate

UNLIMITED = [
    option
    for name in (
        *("requests_per_second", "requests_burst", "envelopes_per_second", "envelopes_burst"),
        *("register_per_second", "register_burst", "failures_per_minute"),
    )
    for option in ("--limit", f"{name}=1000000")
]
KEY = bytes(range(32))
ROUNDS = 200 if os.environ.get("E2ECROSS_HYPOTHESIS_PROFILE") == "deep" else 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well_with_a_hundred_waiting_calls(
    tmp_path: Path, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--limit", "waiting_calls_per_device=200", "--metrics-listen", f"127.0.0.1:{port}")
    with (
        RelayProcess(tmp_path, *UNLIMITED, *options) as service,
        HTTPBackend(service.url, connections=120) as backend,
        ThreadPoolExecutor(111) as pool,
    ):
        register(backend, ANA, BUDI)
        waiting = [
            pool.submit(backend.fetch, BUDI, token(BUDI), 10, wait_ms=30_000) for _ in range(100)
        ]
        until = time.monotonic() + 20
        while b"e2ecross_waiting_calls 100.0" not in _numbers(port):
            assert time.monotonic() < until
            time.sleep(0.02)
        deposits = [
            pool.submit(deposit, backend, token(BUDI), envelope(BUDI, ANA, n).encode())
            for n in range(10)
        ]
        deposits[0].result(20)
        started = time.monotonic()
        assert service.end(number) == 0
        assert time.monotonic() - started < 15
        assert [call.result(20) for call in waiting] == [[]] * 100
        answered = sum(1 for call in deposits if call.exception() is None)
    with Relay(tmp_path / "relay.db") as relay:
        assert len(relay.waiting(ANA)) >= answered > 0
    assert "Traceback" not in service.log()


def test_a_signal_ends_it_soon_where_clients_keep_connections_through_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with (
        RelayProcess(tmp_path, "--tls-cert", cert, "--tls-key", key) as service,
        HTTPBackend(service.url, ca_file=cert) as backend,
    ):
        register(backend, ANA)
        with _begun(service.url, cert, token(ANA)) as raw:  # a call that ends after the signal
            Timer(1.5, raw.sendall, [b"x"]).start()
            started = time.monotonic()
            assert service.end() == 0
            assert time.monotonic() - started < 6


def _begun(url: str, cert: str, key: bytes) -> ssl.SSLSocket:
    """A connection whose request lacks its last byte, and that is not read."""
    context = ssl.create_default_context(cafile=cert)
    port = int(url.rpartition(":")[2])
    raw = context.wrap_socket(
        socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1"
    )
    bearer = base64.urlsafe_b64encode(key).rstrip(b"=").decode()
    raw.sendall(
        f"POST /v1/epochs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
        "Content-Type: application/x-protobuf\r\nContent-Length: 1\r\n\r\n".encode()
    )
    return raw


def _numbers(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        said: bytes = answer.read()
    return said


def test_nothing_that_was_answered_is_lost_or_doubled_by_kill(tmp_path: Path) -> None:
    """Killed at random under the load of 16 clients, and started again; each repeats itself."""
    order = random.Random(9)
    senders = [Address("whatsapp", f"user{n}") for n in range(16)]
    done: dict[Address, int] = dict.fromkeys(senders, 0)

    def send(sender: Address, url: str, ended: threading.Event) -> None:
        with HTTPBackend(url, timeout_ms=5_000) as backend:
            while not ended.is_set():
                number = done[sender]
                with suppress(BackendError):
                    deposit(backend, token(sender), envelope(sender, BUDI, number).encode())
                    done[sender] = number + 1
                    continue
                return

    for round_ in range(ROUNDS):
        with RelayProcess(tmp_path, *UNLIMITED, "--limit", "mailbox_messages=100000000") as service:
            ended = threading.Event()
            if not round_:
                with HTTPBackend(service.url) as backend:
                    register(backend, BUDI, *senders)
            threads = [
                threading.Thread(target=send, args=(sender, service.url, ended))
                for sender in senders
            ]
            for thread in threads:
                thread.start()
            time.sleep(order.uniform(0.05, 0.4))
            service.process.kill()
            ended.set()
            for thread in threads:
                thread.join(30)
    with Relay(tmp_path / "relay.db") as relay:
        kept = [(each.sender, each.message_id) for each in relay.waiting(BUDI)]
    print(f"{ROUNDS} rounds, {sum(done.values())} deposits answered, {len(kept)} kept")
    assert len(set(kept)) == len(kept)
    for sender in senders:
        answered = {envelope(sender, BUDI, n).message_id for n in range(done[sender])}
        assert answered <= {message_id for who, message_id in kept if who == sender}
    assert sum(done.values()) > ROUNDS


def test_no_secret_and_no_address_is_in_what_it_says(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    blob = os.urandom(32)
    options = ("--log", "log", "--metrics-listen", f"127.0.0.1:{port}", *UNLIMITED)
    with RelayProcess(tmp_path, *options, "--blob-dir", "files") as service:
        with HTTPBackend(service.url) as backend:
            register(backend, ANA, BUDI)
            backend.begin_blob(ANA, token(ANA), blob, 9)
            with pytest.raises(BlobGone):
                backend.get_blob(blob, 0, 1)
            backend.publish(token(ANA), published(ANA, range(1, 5)))
            deposit(backend, token(BUDI), envelope(BUDI, ANA).encode())
            assert backend.fetch(ANA, token(ANA), 10)
            for wrong in (token(ANA, 7), token(BUDI)):
                with pytest.raises(BackendError):
                    backend.fetch(ANA, wrong, 10)
            with pytest.raises(BackendError):
                backend.register(ANA, token(ANA, 8), credential=b"a credential that is secret")
        with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as raw:
            raw.sendall(b"GET /whatsapp:ana.1?token=secret HTTP/1.1\r\nHost: whatsapp:ana\r\n\r\n")
            raw.recv(9999)
        with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as raw:
            raw.sendall(b"\x00\xff whatsapp:ana nonsense\r\n\r\n")
            raw.recv(9999)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            numbers = answer.read()
        assert service.end() == 0
    said = numbers + (tmp_path / "log").read_bytes() + (tmp_path / "stderr").read_bytes()
    assert b'method="deposit_all"' in said
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(lines) >= 9
    secrets = [
        token(ANA),
        token(BUDI),
        token(ANA, 7),
        token(ANA, 8),
        envelope(BUDI, ANA).message_id,
        blob,
    ]
    secrets += [b"a credential that is secret"]
    for secret in secrets:
        for form in (secret, secret.hex().encode(), base64.b64encode(secret)[:20]):
            assert form not in said
        assert base64.urlsafe_b64encode(secret)[:20] not in said
    for word in (
        b"whatsapp",
        b"instagram",
        b"ana.1",
        b"budi",
        b"127.0.0.1",
        b"Traceback",
        b"secret",
    ):
        assert word not in said.replace(f"127.0.0.1:{port}".encode(), b"")


def test_what_a_loop_has_to_say_is_in_the_log_without_texts(tmp_path: Path) -> None:
    """That of the standard library complains when there are no files left for connections."""
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    limited = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))"
    (tmp_path / "sitecustomize.py").write_text(limited)
    with RelayProcess(tmp_path, path=tmp_path) as service:
        port = int(service.url.rpartition(":")[2])
        many = [socket.create_connection(("127.0.0.1", port)) for _ in range(70)]
        time.sleep(1)
        for each in many:
            each.close()
        assert service.end() == 0
    said = [json.loads(line) for line in service.log().splitlines()]
    assert any(line.get("server", "").startswith("OSError at ") for line in said)
    assert "127.0.0.1" not in service.log()


def test_as_many_connections_as_the_system_lets_it_have(tmp_path: Path) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 400))"
    (tmp_path / "sitecustomize.py").write_text(limited)
    with RelayProcess(tmp_path, path=tmp_path) as service, HTTPBackend(service.url) as backend:
        port = int(service.url.rpartition(":")[2])
        many = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        register(backend, ANA)
        for each in many:
            each.close()


def test_who_registers_needs_a_credential_where_there_is_a_key(tmp_path: Path) -> None:
    (tmp_path / "reg.key").write_text(KEY.hex() + "\n")

    def credential(address: Address) -> bytes:
        return make_credential(KEY, address, time.time_ns() // 1_000_000 + 60_000)

    with RelayProcess(tmp_path, "--registration-key-file", "reg.key") as service:
        with HTTPBackend(service.url) as backend, pytest.raises(BackendError, match="claimed"):
            register(backend, ANA)
        with HTTPBackend(service.url, credential=credential) as backend:
            register(backend, ANA)
        assert service.end() == 0


def test_a_socket_of_the_file_system(tmp_path: Path) -> None:
    path = tmp_path / "relay.socket"
    for _ in range(2):  # the second finds that of the first, which was killed
        with RelayProcess(tmp_path, listen=f"unix:{path}") as service:
            assert service.url == f"unix:{path}"
            assert stat.S_ISSOCK(path.stat().st_mode)
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(str(path))
                raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert raw.recv(99).startswith(b"HTTP/1.1 200")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_a_proxy_that_comes_by_ipv4_is_believed_where_ipv6_is_listened_at(tmp_path: Path) -> None:
    proxy = ("--behind-proxy", "127.0.0.1", "--open-registration")
    with RelayProcess(tmp_path, *proxy, listen="[::]:0") as service:
        port = int(service.url.rpartition(":")[2])

        def ask(number: int) -> bytes:
            with socket.create_connection(("127.0.0.1", port)) as raw:
                raw.sendall(_without_token(f"198.51.100.{number}"))
                return raw.recv(12)[-3:]

        assert [ask(n) for n in range(12)] == [b"401"] * 12


def _without_token(forwarded: str) -> bytes:
    return (
        f"POST /v1/fetch HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {forwarded}\r\n"
        "Content-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_who_asks_through_a_socket_is_who_the_proxy_names(tmp_path: Path) -> None:
    """A client may write an `X-Forwarded-For`, to which its proxy adds."""
    proxy = ("--behind-proxy", "192.0.2.1", "--open-registration")
    path = tmp_path / "relay.socket"

    def ask(number: int) -> bytes:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(path))
            raw.sendall(_without_token(f"10.0.0.{number}, 198.51.100.7, 192.0.2.1"))
            return raw.recv(12)[-3:]

    with RelayProcess(tmp_path, *proxy, listen=f"unix:{path}"):
        assert [ask(n) for n in range(12)] == [b"401"] * 10 + [b"429"] * 2


@pytest.mark.parametrize("endless", [b"x" * 65_536, b"a: b\r\n" * 10_000], ids=["value", "lines"])
@pytest.mark.parametrize(
    "begin",
    [
        b"POST /v1/fetch HTTP/1.1\r\nX: ",
        b"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
    ids=["head", "trailer"],
)
def test_a_head_without_end(tmp_path: Path, begin: bytes, endless: bytes) -> None:
    with RelayProcess(tmp_path) as service:
        port = int(service.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 20) as raw:
            raw.sendall(begin)
            sent = 0
            with suppress(ConnectionError):
                while sent < 64_000_000:
                    raw.sendall(endless)
                    sent += len(endless)
            assert sent < 64_000_000
        with HTTPBackend(service.url) as backend:
            register(backend, ANA)
        assert service.end() == 0
    assert "too large" in service.log()


def test_what_was_kept_is_there_after_a_start(tmp_path: Path) -> None:
    for _ in range(2):
        with RelayProcess(tmp_path) as service, HTTPBackend(service.url) as backend:
            register(backend, ANA, BUDI)
            deposit(backend, token(BUDI), envelope(BUDI, ANA).encode())
            assert len(backend.fetch(ANA, token(ANA), 10)) == 1
            assert service.end() == 0
    with sqlite3.connect(tmp_path / "relay.db") as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()


def test_files_that_were_answered_are_there_after_a_kill(tmp_path: Path) -> None:
    data = os.urandom(5_000_000)
    halves = (data[:3_000_000], data[3_000_000:])
    for place in (0, len(halves[0])):
        with (
            RelayProcess(tmp_path, "--blob-dir", "files") as service,
            HTTPBackend(service.url) as backend,
        ):
            register(backend, ANA)
            assert backend.begin_blob(ANA, token(ANA), bytes(32), len(data)) == place
            there = backend.put_blob(ANA, token(ANA), bytes(32), place, halves[bool(place)])
            assert there == place + len(halves[bool(place)])
            service.process.kill()
    with (
        RelayProcess(tmp_path, "--blob-dir", "files") as service,
        HTTPBackend(service.url) as backend,
    ):
        read = [backend.get_blob(bytes(32), at, 2_500_000) for at in (0, 2_500_000)]
        assert b"".join(read) == data
