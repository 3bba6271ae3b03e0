# SPDX-License-Identifier: Apache-2.0
"""What becomes of an envelope that cannot be read."""

from e2ecross.device.collecting import keep_failure, read_sender
from e2ecross.errors import DecodeError
from e2ecross.state.inbox import walk_inbox
from tests.support.devices import ANA, make_device


def test_a_failure_that_another_process_has_kept_meanwhile_is_told_once() -> None:
    context = make_device(ANA)._context
    for number, data in ((1, b"garbage"), (1, b"garbage"), (1, b"other"), (2, b"other")):
        keep_failure(context, number, data, DecodeError("what?"))
    with context.store.transaction() as tx:
        assert len(list(walk_inbox(context, tx))) == 3


def test_what_is_no_envelope_names_no_sender() -> None:
    assert read_sender(b"garbage") is None
