# SPDX-License-Identifier: Apache-2.0
"""`inspect`: signed lists of devices, and link codes without their secret."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.protocol.device_list import hash_list
from e2ecross.wire.device_list import ListedDevice, SignedDeviceList
from e2ecross.wire.linking import LinkCode
from tests.cli.support import Ended, call
from tests.support.device_lists import Household, recorded_list
from tests.support.devices import ANA, NOW_MS
from tests.support.vectors import devices

HOME = Household(ANA.user_id)
FIRST = HOME.sign()
SECOND = HOME.sign(2, previous=FIRST, devices=(1, 2, 7))
CODE = devices("linking")["text"]
KNOWN_PROBLEM = "NOT SIGNED PROPERLY: "


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inspect") / "list"


def _inspect(file: Path, data: bytes, *options: str) -> Ended:
    file.write_bytes(data)
    ended = call("inspect", *options, str(file))
    assert "Traceback" not in ended.err
    assert all(len(line) <= 80 for line in ended.out.splitlines() if '"' not in line)
    return ended


def _flat(text: str) -> str:
    return " ".join(text.split())


# --- Lists --------------------------------------------------------------------------------------


def test_a_list_shows_who_belongs_to_an_account(file: Path) -> None:
    ended = _inspect(file, SECOND.encode())
    assert (ended.code, ended.err) == (0, "")
    packed = "".join(ended.out.split())
    for shown in (
        f"of {ANA.user_id}",
        f"size {len(SECOND.encode())} bytes",
        "number 2 (",
        "signed 2023-11-14 22:13:20 UTC (by the clock of device 1)",
        f"list before {hash_list(FIRST).hex()}",
        f"hash {hash_list(SECOND).hex()}",
        "holds keys, too nobody",
        SECOND.signature.hex(),
        "Device 1, which signs",
        f"account key {SECOND.list.account_key.hex()}",
    ):
        assert shown.replace(" ", "") in packed
    for listed in SECOND.list.devices[1:]:
        assert f"Device{listed.device}identitykey{listed.identity_key.hex()}" in packed
        assert f"itsconsent{listed.device_signature.hex()}" in packed
    assert "all verify" in _flat(ended.out)
    assert KNOWN_PROBLEM not in ended.out


def test_the_first_list_follows_none(file: Path) -> None:
    assert "list before none: it is the first one" in _flat(_inspect(file, FIRST.encode()).out)


def test_a_list_is_a_document(file: Path) -> None:
    signed = HOME.sign(5, devices=(1, 3), hosting=1, vendor="Acme")
    silent = (HOME.entry(1), HOME.entry(3, capabilities=b""))
    signed = HOME.sign_anew(signed, devices=silent)
    view = json.loads(_inspect(file, signed.encode(), "--json").out)
    first, third = view.pop("devices")
    assert view == {
        "kind": "device_list",
        "size_bytes": len(signed.encode()),
        "user": str(ANA.user_id),
        "seq": 5,
        "previous": None,
        "hash": hash_list(signed).hex(),
        "signed_at_ms": NOW_MS,
        "hosting": 1,
        "vendor": "Acme",
        "signature": signed.signature.hex(),
        "problem": None,
    }
    assert first == {
        "device": 1,
        "identity_key": HOME.pair(1).public.hex(),
        "device_signature": None,
        "capabilities": "080112020a23",
    }
    assert third["capabilities"] is None
    assert (third["device"], len(third["device_signature"])) == (3, 128)


def test_the_largest_list_and_capabilities_are_shown(file: Path) -> None:
    everybody = tuple(
        replace(HOME.entry(number), capabilities=bytes([number] * 256)) for number in range(1, 17)
    )
    signed = HOME.sign_anew(SECOND, devices=everybody)
    ended = _inspect(file, signed.encode())
    assert ended.code == 0
    assert f"capabilities256bytes:{'01' * 64}..." in "".join(ended.out.split())
    assert "Device 16" in ended.out
    assert "all verify" in _flat(ended.out)


@pytest.mark.parametrize(
    ("hosting", "vendor", "shown"),
    [(1, "Acme", "a vendor, 'Acme'"), (2, "", "the operator of the app")],
)
def test_who_else_holds_keys_is_shown(file: Path, hosting: int, vendor: str, shown: str) -> None:
    signed = HOME.sign(hosting=hosting, vendor=vendor)
    assert f"holds keys, too {shown}" in _flat(_inspect(file, signed.encode()).out)


def test_a_vendor_cannot_move_the_cursor(file: Path) -> None:
    signed = HOME.sign(hosting=1, vendor="\x1b[2J\nDevice 9\u202e")
    for options in ((), ("--json",)):
        out = _inspect(file, signed.encode(), *options).out
        assert out.isascii()
        assert "\x1b" not in out
        assert "Device 9" not in out.splitlines()


@pytest.mark.parametrize("at_ms", [0, 2**63 - 1, 10**15])
def test_any_time_is_shown(file: Path, at_ms: int) -> None:
    signed = HOME.sign(signed_at_ms=at_ms)
    out = _flat(_inspect(file, signed.encode()).out)
    wanted = {0: "1970-01-01 00:00:00 UTC"}.get(at_ms, f"{at_ms} ms after 1970")
    assert f"signed {wanted} (by the clock of device 1)" in out


def _listed_without_consent(number: int) -> SignedDeviceList:
    """A list in which one device has the consent of another."""
    entries: list[ListedDevice] = list(SECOND.list.devices)
    entries[number] = replace(entries[number], device_signature=entries[-number].device_signature)
    return HOME.sign_anew(SECOND, devices=tuple(entries))


@pytest.mark.parametrize(
    ("signed", "problem"),
    [
        (replace(SECOND, signature=FIRST.signature), "the signature by device 1 does not verify"),
        (_listed_without_consent(1), "the consent of device 2 does not verify"),
        (_listed_without_consent(2), "the consent of device 7 does not verify"),
    ],
)
def test_a_signature_that_does_not_verify_is_told(
    file: Path, signed: SignedDeviceList, problem: str
) -> None:
    ended = _inspect(file, signed.encode())
    assert ended.code == 0
    assert f"{KNOWN_PROBLEM}{problem}" in _flat(ended.out)
    assert "all verify" not in _flat(ended.out)
    assert json.loads(_inspect(file, signed.encode(), "--json").out)["problem"] == problem


def test_recorded_lists_verify(file: Path) -> None:
    for item in devices("lists"):
        signed = recorded_list(item["name"])
        view = json.loads(_inspect(file, signed.encode(), "--json").out)
        assert (view["seq"], view["hash"], view["problem"]) == (item["seq"], item["hash"], None)


def test_a_later_list_is_told(file: Path) -> None:
    later = replace(SECOND, data=b"\x08\x02" + SECOND.data[2:])
    ended = _inspect(file, later.encode())
    assert (ended.code, ended.out) == (1, "")
    assert "device list version 2 is not supported" in ended.err


@given(st.data())
def test_a_damaged_list_is_shown_or_refused(file: Path, data: st.DataObject) -> None:
    genuine = SECOND.encode()
    at = data.draw(st.integers(0, len(genuine) - 1))
    damaged = genuine[:at] + data.draw(st.binary(max_size=3)) + genuine[at + 1 :]
    ended = _inspect(file, damaged)
    if ended.code == 0:
        assert damaged == genuine or KNOWN_PROBLEM in ended.out
    else:
        assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)


# --- Codes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_code_is_shown_without_its_secret(file: Path, end: bytes) -> None:
    code = LinkCode.from_text(CODE)
    ended = _inspect(file, CODE.encode() + end)
    assert (ended.code, ended.err) == (0, "")
    shown = f"for whatsapp size {len(CODE)} characters ephemeral key {code.ephemeral_key.hex()}"
    assert shown.replace(" ", "") in "".join(ended.out.split())
    view = json.loads(_inspect(file, CODE.encode() + end, "--json").out)
    assert view == {
        "kind": "link_code",
        "size_chars": len(CODE),
        "app": "whatsapp",
        "ephemeral_key": code.ephemeral_key.hex(),
    }


def test_no_part_of_the_secret_of_a_code_is_printed(file: Path) -> None:
    secret = LinkCode.from_text(CODE).secret
    for options in ((), ("--json",)):
        ended = _inspect(file, CODE.encode(), *options)
        out = "".join(ended.out.split())
        for at in range(len(secret) - 3):
            assert secret[at : at + 4].hex() not in out
        assert not any(CODE[at : at + 8] in out for at in range(5, len(CODE) - 8))


@pytest.mark.parametrize(
    "vector", devices("link_code_refusals")["vectors"], ids=lambda vector: vector["name"]
)
def test_what_is_no_code_is_refused_and_not_repeated(file: Path, vector: dict[str, str]) -> None:
    ended = _inspect(file, vector["text"].encode())
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    is_code = vector["text"].startswith("e2x1:")
    assert ("not an envelope" in ended.err) is not is_code
    assert not vector["text"] or vector["text"] not in ended.err


@pytest.mark.parametrize("name", [CODE, f"./{CODE}", f"{CODE[:60]}\udcff", f"{CODE}\0"])
def test_a_code_in_the_place_of_a_name_is_not_repeated(name: str) -> None:
    ended = call("inspect", name)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    assert "a link code is no file" in ended.err
    assert not any(CODE[at : at + 8] in ended.err for at in range(len(CODE) - 8))


def test_a_code_in_other_letters_is_refused(file: Path) -> None:
    ended = _inspect(file, b"e2x1:\xff" + CODE.encode())
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    assert "a link code is ASCII text" in ended.err
