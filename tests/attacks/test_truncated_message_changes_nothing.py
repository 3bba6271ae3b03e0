# SPDX-License-Identifier: Apache-2.0
"""A message that was cut, at either end and at any byte, changes nothing.

The attacker: a back end that loses part of what it carries, or cuts it on purpose.
"""

from dataclasses import replace

import pytest

from e2ecross import Envelope, MessageKind
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    EnvelopeMismatch,
    InvalidKey,
    RemoteError,
    UnknownPrekey,
    UnsupportedVersion,
)
from tests.attacks.support import (
    ANA,
    BUDI,
    SESSION_KINDS,
    Person,
    assert_refused,
    edit_envelope,
    edit_wrapper,
    inner_message,
    meet,
    person,
    with_ciphertext,
    wrapper_fields,
)

pytestmark = pytest.mark.usefixtures("both_versions")

CUT: tuple[type[RemoteError], ...] = (
    AuthenticationFailed,
    DecodeError,
    InvalidKey,
    UnsupportedVersion,
)


def _message(kind: MessageKind) -> tuple[Person, Envelope]:
    ana, budi = person(ANA), person(BUDI)
    if kind is MessageKind.PREKEY:
        ana.start(budi)
    else:
        meet(ana, budi)
    envelope = ana.send(budi, "whole")
    assert envelope.kind is kind
    return budi, envelope


@pytest.mark.parametrize("kind", SESSION_KINDS)
def test_of_the_ciphertext_any_part_is_missing(kind: MessageKind) -> None:
    budi, envelope = _message(kind)
    data = envelope.ciphertext
    # One byte less of a number of the wrapper makes another prekey id.
    expected = CUT if kind is MessageKind.SIGNAL else (*CUT, EnvelopeMismatch, UnknownPrekey)
    for cut in range(1, len(data)):
        for part in (
            data[:cut],
            data[cut:],
            b"\x33" + data[cut + 1 :],
            data[:cut] + data[cut + 1 :],
        ):
            assert_refused(budi, with_ciphertext(envelope, part), *expected)
    assert budi.read(envelope) == "whole"


@pytest.mark.parametrize("kind", SESSION_KINDS)
def test_of_the_envelope_any_part_is_missing(kind: MessageKind) -> None:
    budi, envelope = _message(kind)
    data = envelope.encode()
    for cut in range(len(data)):
        assert_refused(budi, data[:cut], *CUT)
        assert_refused(budi, data[cut + 1 :], *CUT)
        assert_refused(budi, data[:cut] + data[cut + 1 :], *CUT, EnvelopeMismatch, UnknownPrekey)
    assert budi.read(envelope) == "whole"


def test_of_the_message_in_the_wrapper_any_part_is_missing() -> None:
    budi, envelope = _message(MessageKind.PREKEY)
    inside = inner_message(envelope)
    for cut in range(len(inside)):
        for part in (inside[:cut], inside[cut + 1 :], b"\x33" + inside[cut + 2 :]):
            assert_refused(budi, edit_wrapper(envelope, message=part), *CUT)
    assert budi.read(envelope) == "whole"


def test_a_field_of_the_wrapper_is_missing() -> None:
    budi, envelope = _message(MessageKind.PREKEY)
    expected: dict[str, type[RemoteError]] = {
        "pre_key_id": AuthenticationFailed,  # then it is a message without one-time prekey
        "base_key": DecodeError,
        "identity_key": DecodeError,
        "message": DecodeError,
        "registration_id": EnvelopeMismatch,
        "signed_pre_key_id": DecodeError,
    }
    if budi.hands_out_kyber:
        expected |= {"kyber_pre_key_id": DecodeError, "kyber_ciphertext": DecodeError}
    assert len(wrapper_fields(envelope)) == len(expected)
    for name, error in expected.items():
        assert_refused(budi, edit_wrapper(envelope, **{name: None}), error)
    assert budi.read(envelope) == "whole"


def test_nothing_is_left() -> None:
    budi, envelope = _message(MessageKind.SIGNAL)
    assert_refused(budi, b"", DecodeError)
    for kind in SESSION_KINDS:
        assert_refused(budi, edit_envelope(replace(envelope, kind=kind), 6, b""), DecodeError)
        assert_refused(budi, replace(envelope, kind=kind, ciphertext=b"\x33"), DecodeError)
    assert budi.read(envelope) == "whole"
