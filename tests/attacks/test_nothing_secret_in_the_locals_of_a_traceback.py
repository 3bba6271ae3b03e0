# SPDX-License-Identifier: Apache-2.0
"""A message that is refused leaves no key and no plaintext in the local variables of its traceback.

The attacker: sends what will be refused, and reads what the app's crash reporter collects. Those
keep the local variables of every frame; the key of a forged message is that of the genuine one.
Frames of the caller, and what the caller passed in, are the caller's own business.
"""

import copy
import dataclasses
import json
import pprint
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import e2ecross
from e2ecross.crypto.secret import Secret
from e2ecross.errors import E2ECrossError, RemoteError
from tests.attacks.hunt import Secrets, failures, know, reachable, scene, watch_keys
from tests.attacks.support import ANA, BUDI, meet, person

PACKAGE = str(Path(e2ecross.__file__).parent)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Knows every key that is derived during the test."""
    return watch_keys(monkeypatch)


def _frames(error: BaseException) -> Iterator[traceback.FrameSummary]:
    """Frames of ours with their locals: of the error, and of all that it is shown to come from."""
    waiting: list[traceback.TracebackException | None] = [
        traceback.TracebackException.from_exception(error, capture_locals=True)
    ]
    while waiting:
        current = waiting.pop()
        if current is not None:
            yield from (frame for frame in current.stack if frame.filename.startswith(PACKAGE))
            waiting.append(current.__cause__)
            if not current.__suppress_context__:
                waiting.append(current.__context__)


def _shown(secrets: Secrets, error: BaseException) -> set[str]:
    """Which local variables of which functions show a secret."""
    return {
        f"{frame.name}: {name}"
        for frame in _frames(error)
        for name, value in (frame.locals or {}).items()
        if secrets.found_in(value)
    }


def test_refused_messages(secrets: Secrets) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    caught: list[RemoteError] = []
    for fail in failures(ana, budi):
        try:
            fail()
        except RemoteError as error:
            caught.append(error)
        except E2ECrossError:
            pass
    know(secrets, ana, budi)
    assert {error.code for error in caught} >= {
        "authentication_failed",
        "decode_error",
        "duplicate_message",
        "envelope_mismatch",
        "unknown_prekey",
        "unsupported_version",
    }
    shown = {(error.code, name) for error in caught for name in _shown(secrets, error)}
    assert shown == set()
