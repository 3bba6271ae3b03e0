# SPDX-License-Identifier: Apache-2.0
"""What apps of the page tell their users: a sentence for whatever there is to hear."""

import pytest

from e2ecross.address import Address, UserId
from e2ecross.demo.web.notices import sentence, tell_failure, tell_notice
from e2ecross.errors import AuthenticationFailed, DecodeError
from e2ecross.state.message import FailedMessage
from e2ecross.state.notice import Notice, NoticeKind

_BUDI = UserId.parse("instagram:budi")
_QUIET = {NoticeKind.READ_ELSEWHERE, NoticeKind.TYPING}


def _name(user: str) -> str:
    return {"instagram:budi": "Budi"}[user]


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_notice_has_a_sentence(kind: NoticeKind) -> None:
    told = tell_notice(Notice(kind, _BUDI, code="expired", users=(_BUDI,)), _name)
    if kind in _QUIET:
        assert told is None
        return
    assert told is not None
    assert told.text.endswith(".")
    assert "{" not in told.text
    assert tell_notice(Notice(kind, None), _name) is not None


def test_a_failure_says_whose_message_it_is_and_why() -> None:
    sender = Address.parse("instagram:budi.1")
    failed = FailedMessage(sender, bytes(16), AuthenticationFailed("x"), retrying=True)
    told = tell_failure(failed, _name)
    assert told.alarm
    assert "Budi" in told.text
    assert "changed on its way" in told.text
    assert "send it again" in told.text
    assert "decode_error" in tell_failure(FailedMessage(None, None, DecodeError("x")), _name).text


def test_an_address_keeps_its_spelling_at_the_beginning_of_a_sentence() -> None:
    assert sentence("instagram:budi is not registered") == "instagram:budi is not registered."
    assert sentence("it could not be done: why?") == "It could not be done: why?"
    assert sentence("failed: the disk is full") == "Failed: the disk is full."
