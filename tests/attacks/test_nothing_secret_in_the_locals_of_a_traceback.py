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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import e2ecross
from e2ecross import Device, Text
from e2ecross.crypto.secret import Secret
from e2ecross.errors import E2ECrossError, RemoteError, WitnessFailed
from tests.attacks.hunt import PLAINTEXT, Secrets, failures, know, reachable, scene, watch_keys
from tests.attacks.support import ANA, BUDI, meet, person, with_ciphertext
from tests.support.witness import Keychain

PACKAGE = str(Path(e2ecross.__file__).parent)


VERSIONS = pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])


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


def _shown(secrets: Secrets, errors: Iterable[BaseException]) -> set[str]:
    """Which local variables of which functions show a secret."""
    places: dict[str, set[str]] = {}
    for error in errors:
        code = getattr(error, "code", type(error).__name__)
        for frame in _frames(error):
            for name, value in (frame.locals or {}).items():
                places.setdefault(value, set()).add(f"{code}: {name} in {frame.name}")
    text = "\n".join(places)
    found = [form for secret in secrets.raw if (form := repr(secret[:12])[2:-1]) in text]
    return {
        place
        for value, where in places.items()
        for place in where
        if any(form in value for form in found)
    }


_READING = {"decrypt", "decrypt_group_raw", "process_distribution_raw"}


def _refused(fail: Callable[[], object]) -> RemoteError | None:
    """The error, if it is one of a message that a device has refused."""
    try:
        fail()
    except RemoteError as error:
        if any(frame.name in _READING for frame in _frames(error)):
            return error
    except E2ECrossError:
        pass
    return None


@VERSIONS
def test_refused_messages(secrets: Secrets, kyber: bool) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=kyber)
    fails = failures(ana, budi, kyber=kyber)
    caught = [error for fail in fails if (error := _refused(fail)) is not None]
    know(secrets, ana, budi)
    assert {error.code for error in caught} >= {
        "authentication_failed",
        "decode_error",
        "duplicate_message",
        "envelope_mismatch",
        "invalid_key",
        "invalid_signature",
        "too_many_skipped",
        "unknown_prekey",
        "unknown_sender_key",
        "unsupported_version",
    }
    assert "\n".join(sorted(_shown(secrets, caught))) == ""
    # Nor is anything left for a reporter that follows what `from None` hides.
    for error in caught:
        if error.code in ("authentication_failed", "decode_error"):
            assert error.__context__ is None or not _shown(secrets, [error.__context__])


def test_the_search_finds_what_is_there(secrets: Secrets) -> None:
    """The frames are walked, and a key in a variable of one of them is recognised."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    keys = {"plaintext": next(iter(secrets.raw))}
    with pytest.raises(E2ECrossError) as caught:
        ana.device.encrypt_raw(ana.address, keys["plaintext"])
    assert _shown(secrets, [caught.value]) == {"invalid_argument: plaintext in encrypt_raw"}


def test_what_a_failing_witness_holds_back(secrets: Secrets) -> None:
    """An envelope that is not released, by a witness that cannot be told; nor is its content."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    keychain = Keychain()
    device = Device.open(ana.store, clock=ana.clock, entropy=ana.entropy, witness=keychain)
    keychain.error = OSError("the keychain is locked")
    bundle = budi.bundle()
    for action in (
        lambda: device.encrypt(BUDI, Text(PLAINTEXT)),
        lambda: device.start_session(bundle),
        lambda: device.publish(1),
    ):
        # So that there is something to tell, whatever the witness has heard before.
        ana.start(budi)
        with pytest.raises(WitnessFailed) as caught:
            action()
        know(secrets, ana, budi)
        assert _shown(secrets, [caught.value]) == set()
        assert caught.value.__cause__ is keychain.error


def test_where_an_error_came_from_is_still_told(secrets: Secrets) -> None:
    """The traceback ends one floor higher, not at the app's own line."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    envelope = ana.send(budi, "genuine")
    with pytest.raises(RemoteError) as caught:
        budi.device.decrypt(with_ciphertext(envelope, envelope.ciphertext[:-1] + b"?"))
    names = [frame.name for frame in _frames(caught.value)]
    assert names[0] == "decrypt"
    assert names[-1] == "session_decrypt"
    assert _shown(secrets, [caught.value]) == set()


# --- What else a debugger, a logger or a serialiser makes of a value ------------------------------


@VERSIONS
def test_printers_and_serialisers(secrets: Secrets, kyber: bool) -> None:
    """pprint, rich and json look into values by themselves, past their repr."""
    _, _, values = scene(secrets, kyber=kyber)
    rich = pytest.importorskip("rich.pretty")
    printers: list[Callable[[object], str]] = [pprint.pformat, rich.pretty_repr]
    hidden = set()
    for value in reachable(values):
        if not isinstance(value, Secret):
            continue
        hidden.add(type(value).__name__)
        for show in printers:
            assert show(value) == repr(value)
        for refuse in (json.dumps, vars, copy.copy):
            with pytest.raises(TypeError):
                refuse(value)
    assert hidden >= {
        "BackupContent",
        "Context",
        "DeviceRecord",
        "InboxMessage",
        "KeptMessage",
        "KeyPair",
        "Link",
        "OutboxRecord",
        "Passphrase",
        "RatchetState",
        "Received",
        "SentRecord",
        "Session",
        "SessionRecord",
        "SignedPrekeyRecord",
        "StoredSession",
        "Waiting",
    }


def test_as_a_dictionary(secrets: Secrets) -> None:
    """`dataclasses.asdict` copies fields; no value that an app is handed gives a key that way."""
    ana, budi, _ = scene(secrets)
    handed = [
        ana.device,
        ana.published,
        budi.bundle(),
        ana.send(budi, "envelope"),
        budi.device.safety_number(ANA),
        budi.device.remote_identity(ANA),
        ana.policy,
    ]
    for value in handed:
        for one in reachable(value):
            if isinstance(one, Secret) or not dataclasses.is_dataclass(one):
                continue
            assert not isinstance(one, type)
            text = repr(dataclasses.asdict(one))
            secrets.assert_not_in(text)
