# SPDX-License-Identifier: Apache-2.0
"""Who is answered that asks for a message again."""

from e2ecross import RetryRequest, Text
from tests.support.accounts import craft, make_account, outbox, receive, sign_devices
from tests.support.devices import ANA, BUDI, BackendSimulator, make_client, make_device, start


def test_a_device_that_another_account_key_vouches_for_is_sent_nothing_again() -> None:
    """Somebody who has got Budi's laptop puts it into an account of their own, of his name."""
    backend = BackendSimulator()
    ana, (_, laptop) = make_client(ANA, backend), make_account(BUDI, (1, 2), backend)
    sent = ana.send(BUDI, Text("for Budi"))
    ana.maintain()
    request = RetryRequest(sent.message_id, None, 0, "decode_error")
    forged = sign_devices(make_device(BUDI, seed="of somebody else"), laptop.device)
    start(laptop.device, ana.device, kyber=True)
    receive(ana.device, craft(laptop.device, ANA, request, device_list=forged.encode()))
    identity = ana.device.remote_identity(BUDI)
    assert identity is not None
    assert identity.pending_key == forged.list.account_key
    assert outbox(ana.device) == []


def test_who_is_blocked_is_sent_nothing_again() -> None:
    backend = BackendSimulator()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    sent = ana.send(BUDI, Text("for Budi"))
    ana.maintain()
    ana.block(BUDI)
    start(budi.device, ana.device, kyber=True)
    request = RetryRequest(sent.message_id, None, 0, "decode_error")
    receive(ana.device, craft(budi.device, ANA, request))
    assert outbox(ana.device) == []
