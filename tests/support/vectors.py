# SPDX-License-Identifier: Apache-2.0
"""The recorded values under `tests/vectors/`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from e2ecross.crypto.keys import KeyPair, PublicKey, decode_public_key, key_pair_from_private

__all__ = [
    "attachments",
    "component",
    "content",
    "devices",
    "groups",
    "key_pair",
    "public_key",
    "section",
    "transcripts",
    "unhex",
]

_FOLDER = Path(__file__).parents[1] / "vectors"

unhex = bytes.fromhex


@cache
def _load(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((_FOLDER / name).read_text("utf-8"))
    return data


def section(name: str) -> Any:  # noqa: ANN401
    """Return one section of `v3.json`; see `tests/vectors/README.md`. Do not change it."""
    return _load("v3.json")[name]


def component(name: str) -> Any:  # noqa: ANN401
    """Return one component of `v4.json`. Do not change it."""
    return _load("v4.json")["components"][name]


def transcripts() -> Any:  # noqa: ANN401
    """Return the recorded conversations of `v4.json`. Do not change them."""
    return _load("v4.json")["transcripts"]


def devices(name: str) -> Any:  # noqa: ANN401
    """Return one section of `devices.json`. Do not change it."""
    return _load("devices.json")[name]


def content(name: str) -> Any:  # noqa: ANN401
    """Return one section of `content.json`. Do not change it."""
    return _load("content.json")[name]


def attachments(name: str) -> Any:  # noqa: ANN401
    """Return one section of `attachments.json`. Do not change it."""
    return _load("attachments.json")[name]


def groups(name: str) -> Any:  # noqa: ANN401
    """Return one section of `groups.json`. Do not change it."""
    return _load("groups.json")[name]


def key_pair(name: str) -> KeyPair:
    """Return one of the named key pairs, made of its unclamped private key."""
    return key_pair_from_private(unhex(section("keys")[name]["raw"]))


def public_key(text: str) -> PublicKey:
    """Return a checked public key from its 66 hex digits."""
    return decode_public_key(unhex(text))
