# SPDX-License-Identifier: Apache-2.0
"""Arguments of calls about many at once; what comes of them at a relay: tests/relay."""

from collections.abc import Callable

import pytest

from e2ecross.address import UserId
from e2ecross.errors import BackendRefused, InvalidArgument
from e2ecross.wire import call_arguments as arguments
from e2ecross.wire.exchange import KeysWanted

ANA = KeysWanted(UserId("whatsapp", "ana"), None)
_MANY = [KeysWanted(UserId("x", f"u{n}"), None) for n in range(33)]

TAKEN: list[tuple[Callable[[], object], object]] = [
    (lambda: arguments.require_replaced_token(b"", b""), None),
    (lambda: arguments.require_replaced_token(bytes(32), bytes(4_096)), None),
    (lambda: arguments.require_wanted((ANA,)), [ANA]),
    (lambda: len(arguments.require_wanted(_MANY[:32])), 32),
    (lambda: arguments.require_companion_tokens({2: bytes(32)}), {2: bytes(32)}),
    (lambda: len(arguments.require_envelopes([b"e"] * 1_024)), 1_024),
    (lambda: len(arguments.require_envelopes([bytes(4_194_304)])), 1),
    (lambda: arguments.require_copies(bytes(262_144)), None),
    (lambda: arguments.require_blob_id(bytes(32)), None),
    (lambda: arguments.require_blob_size(1, 10), None),
    (lambda: arguments.require_blob_size(10, 10), None),
    (lambda: arguments.require_blob_piece(0, bytes(4_194_304)), None),
    (lambda: arguments.require_blob_range(0, 4_194_304), None),
    (lambda: arguments.require_told(None), {}),
    (lambda: arguments.require_told({}), {}),
    (lambda: arguments.require_told({0: 2**63 - 1, 65_536: 1, 5: 0}), {0: 2**63 - 1, 65_536: 1}),
    (lambda: arguments.require_consents((), 3), []),
    (lambda: arguments.require_consents([b"", bytes(32)], 2), [b"", bytes(32)]),
    (lambda: arguments.require_waiting(30_000, 600_000, bytes(16)), None),
    (lambda: arguments.require_waiting(0, 0, b""), None),
    (lambda: arguments.require_numbers([-1, 0, 1, 2**63 - 1, 2**63]), [1, 2**63 - 1]),
    (lambda: arguments.require_link(bytes(16), 2), None),
    (lambda: arguments.require_link_message(bytes(10_240)), None),
]

REFUSED: list[tuple[Callable[[], object], type[Exception]]] = [
    (lambda: arguments.require_replaced_token(bytes(31), b""), InvalidArgument),
    (lambda: arguments.require_replaced_token(b"", bytes(4_097)), InvalidArgument),
    (lambda: arguments.require_wanted([]), BackendRefused),
    (lambda: arguments.require_wanted(_MANY), BackendRefused),
    (lambda: arguments.require_wanted([ANA, ANA]), BackendRefused),
    (lambda: arguments.require_wanted(["ana"]), InvalidArgument),  # type: ignore[list-item]
    (lambda: arguments.require_companion_tokens({1: bytes(32)}), InvalidArgument),
    (lambda: arguments.require_companion_tokens({2: bytes(31)}), InvalidArgument),
    (lambda: arguments.require_envelopes([]), BackendRefused),
    (lambda: arguments.require_envelopes([b"e"] * 1_025), BackendRefused),
    (lambda: arguments.require_envelopes([bytes(4_194_304), b"e"]), BackendRefused),
    (lambda: arguments.require_envelopes(["e"]), InvalidArgument),  # type: ignore[list-item]
    (lambda: arguments.require_copies(bytes(262_145)), BackendRefused),
    (lambda: arguments.require_copies("copies"), InvalidArgument),  # type: ignore[arg-type]
    (lambda: arguments.require_blob_id(bytes(31)), InvalidArgument),
    (lambda: arguments.require_blob_size(0, 10), BackendRefused),
    (lambda: arguments.require_blob_size(11, 10), BackendRefused),
    (lambda: arguments.require_blob_size(-1, 10), InvalidArgument),
    (lambda: arguments.require_blob_piece(0, b""), BackendRefused),
    (lambda: arguments.require_blob_piece(0, bytes(4_194_305)), BackendRefused),
    (lambda: arguments.require_blob_piece(-1, b"x"), InvalidArgument),
    (lambda: arguments.require_blob_range(0, 0), BackendRefused),
    (lambda: arguments.require_blob_range(0, 4_194_305), BackendRefused),
    (lambda: arguments.require_blob_range(-1, 1), InvalidArgument),
    (lambda: arguments.require_told(dict.fromkeys(range(1_025), 1)), BackendRefused),
    (lambda: arguments.require_told({0: -1}), InvalidArgument),
    (lambda: arguments.require_told({65_537: 1}), InvalidArgument),
    (lambda: arguments.require_told({-1: 1}), InvalidArgument),
    (lambda: arguments.require_consents([b""], 2), InvalidArgument),
    (lambda: arguments.require_consents([b"1"], 1), InvalidArgument),
    (lambda: arguments.require_waiting(30_001, 0, b""), InvalidArgument),
    (lambda: arguments.require_waiting(0, 600_001, bytes(16)), InvalidArgument),
    (lambda: arguments.require_waiting(0, 1, b""), InvalidArgument),
    (lambda: arguments.require_waiting(0, 0, bytes(16)), InvalidArgument),
    (lambda: arguments.require_numbers([1.5]), InvalidArgument),  # type: ignore[list-item]
    (lambda: arguments.require_numbers(b"12"), InvalidArgument),
    (lambda: arguments.require_numbers("12"), InvalidArgument),  # type: ignore[arg-type]
    (lambda: arguments.require_link(bytes(15), 0), InvalidArgument),
    (lambda: arguments.require_link(bytes(16), 3), InvalidArgument),
    (lambda: arguments.require_link_message(b""), InvalidArgument),
    (lambda: arguments.require_link_message(bytes(10_241)), BackendRefused),
]


@pytest.mark.parametrize("place", range(len(TAKEN)))
def test_what_is_taken(place: int) -> None:
    call, result = TAKEN[place]
    assert call() == result


def test_what_has_the_wrong_type_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"^tokens "):
        arguments.require_companion_tokens([])  # type: ignore[arg-type]


@pytest.mark.parametrize("place", range(len(REFUSED)))
def test_what_is_refused(place: int) -> None:
    call, error = REFUSED[place]
    with pytest.raises(error):
        call()
