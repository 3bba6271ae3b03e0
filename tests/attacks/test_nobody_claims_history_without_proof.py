# SPDX-License-Identifier: Apache-2.0
"""That a message was received before, is too old or too far ahead says only who can prove it.

The attacker: a back end that makes up messages in a contact's name. An error that claims history
tells the app what has been, and not to wait for a message: of a ratchet key that no session knows,
and of a base key that was copied from another message, it may only be had with a genuine MAC.
"""

import pytest

from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import AuthenticationFailed, DuplicateMessage, TooManySkipped
from e2ecross.state.context import address_key
from e2ecross.stores import Table
from e2ecross.wire.spqr_message import encode_spqr_message
from tests.attacks.support import (
    ANA,
    BUDI,
    assert_refused,
    edit_wrapper,
    inner_message,
    meet,
    person,
)
from tests.attacks.support_4 import converse, edit_message, pq_message
from tests.support.entropy import SeededEntropy

FAR = 2**32 - 1
UNKNOWN = generate_key_pair(SeededEntropy("nobody's")).public


@pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])
@pytest.mark.parametrize("counter", [0, 1, FAR])
def test_a_ratchet_key_that_nobody_knows(kyber: bool, counter: int) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=kyber)
    genuine = ana.send(budi, "one")
    forged = edit_message(genuine, ratchet_key=UNKNOWN, counter=counter)
    assert_refused(budi, forged, AuthenticationFailed)
    assert budi.read(genuine) == "one"


@pytest.mark.parametrize("epoch", [1, 2, 2**40])
@pytest.mark.parametrize("index", [1, FAR])
def test_claims_of_the_post_quantum_ratchet(epoch: int, index: int) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=True)
    converse(ana, budi, 3)
    genuine = ana.send(budi, "one")
    claimed = encode_spqr_message(pq_message(genuine)._replace(epoch=epoch, key_index=index))
    forged = edit_message(genuine, ratchet_key=UNKNOWN, pq_ratchet=claimed)
    assert_refused(budi, forged, AuthenticationFailed)
    assert budi.read(genuine) == "one"


def test_in_several_sessions() -> None:
    ana, budi = person(ANA), person(BUDI)
    for _ in range(3):
        meet(ana, budi)
    forged = edit_message(ana.send(budi, "x"), ratchet_key=UNKNOWN, counter=FAR)
    assert_refused(budi, forged, AuthenticationFailed)


@pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])
def test_a_copied_base_key(kyber: bool) -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False, kyber=kyber)
    first = ana.send(budi, "once")
    assert budi.read(first) == "once"
    with budi.store.transaction() as tx:  # the session is gone, the base key is remembered
        for table in (Table.SESSIONS, Table.SESSION_RECORDS, Table.REMOTE_IDENTITIES):
            tx.clear(table, address_key(ANA))
    message = inner_message(first)
    damaged = edit_wrapper(first, message=message[:-1] + bytes((message[-1] ^ 1,)))
    assert_refused(budi, damaged, AuthenticationFailed)
    other = person(ANA, installation="another").device.identity_key
    assert_refused(budi, edit_wrapper(first, identity_key=other), AuthenticationFailed)
    assert_refused(budi, first, DuplicateMessage)


def test_who_is_known_is_told() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    sent = [ana.send(budi, f"{number}") for number in range(3)]
    assert budi.read(sent[2]) == "2"
    assert_refused(budi, sent[2], DuplicateMessage)
    assert_refused(budi, edit_message(sent[0], counter=30_000), TooManySkipped)
