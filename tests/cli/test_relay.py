# SPDX-License-Identifier: Apache-2.0
"""`e2ecross relay`: what its options mean, and which are refused."""

import argparse
import socket
from pathlib import Path

import pytest

from e2ecross.cli import main
from e2ecross.cli.relay_options import RelayOptions, WrongOptions, read_relay_options
from e2ecross.cli.relay_parser import add_relay_options
from tests.support.service import require_extras

PUBLIC = ("--listen", "0.0.0.0:8443")
TLS = ("--tls-cert", "cert.pem", "--tls-key", "key.pem")


def read(*options: str) -> RelayOptions:
    parser = argparse.ArgumentParser()
    add_relay_options(parser)
    return read_relay_options(parser.parse_args(["--db", "relay.db", *options]))


def test_what_is_meant_without_options() -> None:
    options = read()
    assert (options.database, options.host, options.port) == ("relay.db", "127.0.0.1", 8080)
    assert (options.path, options.certificate, options.proxies) == ("", "", ())
    assert (options.registration_key, options.metrics, options.log) == ("", None, "-")
    assert options.blob_folder == ""


def test_what_options_mean() -> None:
    options = read(
        *PUBLIC, *TLS, "--registration-key-file", "reg.key", "--metrics-listen", "[::1]:9000",
        "--limit", "requests_burst=7", "--limit", "waiting_ms=8", "--limit", "open_burst=9",
        "--log", "file", "--blob-dir", "files",
    )  # fmt: skip
    assert (options.host, options.port) == ("0.0.0.0", 8443)  # noqa: S104
    assert (options.certificate, options.key) == ("cert.pem", "key.pem")
    assert options.metrics == ("::1", 9000)
    assert options.rates.requests_burst == 7
    assert options.relay_limits.waiting_ms == 8
    assert options.limits.open_burst == 9
    assert (options.log, options.blob_folder) == ("file", "files")


@pytest.mark.parametrize(
    ("listen", "place"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0, "")),
        ("localhost:1", ("localhost", 1, "")),
        ("[::1]:65535", ("::1", 65535, "")),
        ("unix:/run/relay.socket", ("", 0, "/run/relay.socket")),
    ],
)
def test_where_nobody_else_comes_nothing_more_is_asked_for(
    listen: str, place: tuple[str, int, str]
) -> None:
    options = read("--listen", listen)
    assert (options.host, options.port, options.path) == place


def test_proxies_are_believed_who_asks() -> None:
    options = read(*PUBLIC, "--behind-proxy", "10.0.0.1, 2001:DB8::1", "--open-registration")
    assert options.proxies == ("10.0.0.1", "2001:db8::1")
    behind = read("--listen", "unix:x", "--behind-proxy", "127.0.0.1", "--open-registration")
    assert behind.proxies == ("127.0.0.1",)


@pytest.mark.parametrize(
    "options",
    [
        PUBLIC,
        (*PUBLIC, "--open-registration"),
        (*PUBLIC, *TLS),
        ("--listen", "back.end:8443", "--open-registration"),
        ("--behind-proxy", "127.0.0.1"),
        ("--tls-cert", "cert.pem"),
        ("--tls-key", "key.pem"),
        ("--listen", "8080"),
        ("--listen", ":8080"),
        ("--listen", "localhost:"),
        ("--listen", "localhost:65536"),
        ("--listen", "localhost:-1"),
        ("--listen", "localhost:" + "9" * 5_000),
        ("--listen", "a..b:1", *TLS, "--open-registration"),
        ("--metrics-listen", "x" * 70 + ":1"),
        ("--listen", "unix:"),
        ("--behind-proxy", "proxy.example", "--open-registration"),
        ("--metrics-listen", "9000"),
        ("--limit", "requests_burst"),
        ("--limit", "requests_burst=x"),
        ("--limit", "requests_burst=0"),
        ("--limit", "requests_burst=-1"),
        ("--limit", "nothing=1"),
        ("--limit", "envelope_bytes=1000000000"),
        ("--limit", "waiting_ms=" + "9" * 20),
        ("--db", "mysql://user:password@host/db"),
    ],
)
def test_what_is_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(WrongOptions) as caught:
        read(*options)
    assert "password" not in str(caught.value)


def test_the_file_may_be_named_by_a_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("E2ECROSS_DATABASE", raising=False)
    assert main(["relay"]) == 2
    assert "--db PATH" in capsys.readouterr().err
    monkeypatch.setenv("E2ECROSS_DATABASE", "mysql://user:password@host/db")
    assert main(["relay"]) == 2
    assert "password" not in capsys.readouterr().err


def test_what_is_neither_a_file_nor_a_database_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is a file of that name made."""
    monkeypatch.chdir(tmp_path)
    for wrong in ("dbname=x password=SECRET", "postgres:/u:SECRET@host/x", "Postgres://u:SECRET@h"):
        monkeypatch.setenv("E2ECROSS_DATABASE", wrong)
        assert main(["relay"]) == 2
        assert main(["relay", "--db", wrong]) == 2
    assert "SECRET" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_address_of_a_database_is_not_shown() -> None:
    options = read("--db", "postgresql://user:password@host/db")
    assert options.database == "postgresql://user:password@host/db"
    assert "password" not in repr(options)


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relay", "--db", "relay.db", *PUBLIC]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("e2ecross relay: 0.0.0.0:8443 is open to a network")
    assert len(out.err.splitlines()) == 1
    with pytest.raises(SystemExit) as caught:
        main(["relay", "--nothing"])
    assert caught.value.code == 2


def cannot_start(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    require_extras()
    assert main(["relay", *options]) == 1
    out = capsys.readouterr()
    assert out.out == ""
    assert len(out.err.splitlines()) == 1
    return out.err


def test_what_cannot_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = str(tmp_path / "relay.db")
    assert "not a file" in cannot_start(capsys, "--db", str(tmp_path), "--listen", "127.0.0.1:0")
    here = ("--db", database, "--listen", "127.0.0.1:0")
    assert "/files" in cannot_start(capsys, *here, "--blob-dir", str(tmp_path / "none" / "files"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        for options in (
            ("--listen", place),
            ("--listen", "127.0.0.1:0", "--metrics-listen", place),
        ):
            said = cannot_start(capsys, "--db", database, *options)
            assert f"{place}: " in said
            assert "in use" in said
    short = tmp_path / "short.key"
    short.write_bytes(b"secret")
    for name, why in ((str(short), "holds no key"), (str(tmp_path / "none"), "cannot be read")):
        said = cannot_start(
            capsys, "--db", database, "--listen", "127.0.0.1:0", "--registration-key-file", name
        )
        assert why in said
        assert "secret" not in said
    tls = ("--tls-cert", str(short), "--tls-key", str(short))
    assert str(short) in cannot_start(capsys, "--db", database, "--listen", "127.0.0.1:0", *tls)
    log = ("--log", str(tmp_path / "no" / "log"))
    assert "log" in cannot_start(capsys, "--db", database, "--listen", "127.0.0.1:0", *log)
