# SPDX-License-Identifier: Apache-2.0
"""docs/cryptography.md has every module of `crypto/`, and every secret that is in a format."""

import re
from typing import Final

from e2ecross.crypto.passphrase import PassphraseCost
from tests.support.documents import ROOT, prose, section, table
from tests.test_docs import MESSAGES, WIRE_FORMAT

PAGE: Final = ROOT / "docs" / "cryptography.md"

_FIELD = re.compile(r"`([A-Z]\w+)\.(\w+)`")


def test_each_module_of_crypto_has_its_place() -> None:
    named = set(re.findall(r"`e2ecross/crypto/(\w+)\.py`", section(PAGE, "Algorithms")))
    modules = {path.stem for path in ROOT.joinpath("e2ecross", "crypto").glob("*.py")}
    assert named == modules - {"__init__"}


def test_each_secret_of_a_format_is_in_the_table_of_keys() -> None:
    secret = {
        (message, field)
        for message in MESSAGES
        for field, _, _, value in table(section(WIRE_FORMAT, f"Fields of {message}"))
        if "secret" in {field, *re.split(r"\W+", value)}
        or (field.endswith("_key") and "random" in value)
    }
    assert len(secret) > 20
    told = set(_FIELD.findall(section(PAGE, "Keys")))
    assert {(message, field) for message, field in told if message in MESSAGES} == secret


def test_each_key_has_a_life() -> None:
    for row in table(section(PAGE, "Keys")):
        assert all(row), row[0]


def test_each_assumption_says_what_falls_without_it() -> None:
    rows = table(section(PAGE, "Assumptions"))
    assert all(all(row) for row in rows)
    text = " ".join(row[0] for row in rows)
    for primitive in ("X25519", "ML-KEM", "SHA-512", "SHA-256", "AES-256", "Argon2id", "Python"):
        assert primitive in text, primitive


def test_the_work_for_a_passphrase_is_that_of_the_code() -> None:
    [row] = [row for row in table(prose(PAGE)) if row[0].startswith("Argon2id (RFC")]
    sizes = {64: "64 MiB", 256: "256 MiB", 1_024: "1 GiB"}
    for cost in PassphraseCost:
        assert f"{cost.work.passes} passes over {sizes[cost.work.memory_kib // 1_024]}" in row[1]
