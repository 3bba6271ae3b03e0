# SPDX-License-Identifier: Apache-2.0
"""Sending through a back end: what goes with a message, and a message id that is used again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from e2ecross import Address, Bytes, Client, Delivery, Message, NoticeKind, RetryRequest, Text
from e2ecross.errors import BackendError, MailboxFull
from e2ecross.state.context import require_device
from e2ecross.state.epoch import read_epoch
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    block_backlog,
    list_backlog,
    put_control,
    put_envelope,
    replace_waiting,
)
from e2ecross.state.transactions import stripe_transaction
from e2ecross.stores import Table
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.exchange import Deposited, KeysWanted
from tests.client.conversation import (
    damage,
    forget_sessions,
    meet,
    promise,
    read,
    read_notices,
    store_of,
    waiting,
)
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
)
from tests.support.lone_worker import end_holds, let_look
from tests.support.store_kinds import plain_store


def epochs(client: Client, backend: BackendSimulator, peer: Address) -> tuple[int, int]:
    """How far a store, or what it has of a peer, has come, and what the back end knows of it."""
    context = client.device._context
    stripe = context.stripe_of(peer.user_id)
    with stripe_transaction(context, stripe) as tx:
        own, token = read_epoch(tx), require_device(tx).backend_token
    return own, backend.epochs(client.device.address, token)[stripe]


def test_the_back_end_hears_the_epoch_with_every_message(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    for text in ("one", "two"):
        before, _ = epochs(ana, backend, BUDI)
        ana.send(BUDI, Text(text))
        own, known = epochs(ana, backend, BUDI)
        assert own == known == before + 1
    # A request and its answer are operations like any other.
    forget_sessions(budi)
    assert read(budi) == ["!unknown_session"] * 2
    own, known = epochs(budi, backend, ANA)
    assert own == known
    assert read(ana) == []
    own, known = epochs(ana, backend, BUDI)
    assert own == known


def test_a_message_says_when_it_was_sent(backend: BackendSimulator) -> None:
    clock = FakeClock()
    ana, budi = make_client(ANA, backend, clock=clock), make_client(BUDI, backend)
    clock.advance(3)
    ana.send(BUDI, Text("halo"))
    (message,) = budi.receive()
    assert isinstance(message, Message)
    assert message.sent_at_ms == NOW_MS + 3


def test_a_message_id_that_was_sent_is_not_sent_again(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    ana.maintain()  # forgets what it has sent
    before, deposits = dump(store_of(ana)), list(backend.deposits)
    sent = ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    assert (sent.message_id, sent.deliveries) == (MESSAGE_ID, (Delivery(BUDI, False),))
    assert dump(store_of(ana)) == before
    assert backend.deposits == deposits
    assert read(budi) == ["halo"]


def test_a_full_mailbox_holds_up_nothing_that_waits_behind_it() -> None:
    backend = BackendSimulator(capacity=1)
    ana = make_client(ANA, backend)
    budi, toko = make_client(BUDI, backend), make_client(TOKO, backend)
    ana.send(BUDI, Text("fills the mailbox"))
    ana.send(TOKO, Text("first"))
    assert read(toko) == ["first"]
    for address in (BUDI, TOKO):
        backend.fail("deposit")
        with pytest.raises(BackendError):
            ana.send(address, Text("waits"))
    assert len(waiting(ana)) == 2
    ana.maintain()
    assert [item.backlog.recipient for item in waiting(ana)] == [BUDI]
    assert [(item.recipient, item.code) for item in ana.pending()] == [(BUDI, "mailbox_full")]
    assert read(toko) == ["waits"]
    assert read(budi) == ["fills the mailbox"]
    end_holds(ana, backend)
    ana.maintain()
    assert read(budi) == ["waits"]


def test_who_is_told_by_an_exception_that_a_mailbox_is_full_gets_no_notice_too() -> None:
    """What stands before it is tried alone, and the mailbox has no room for that."""
    backend = BackendSimulator(capacity=1)
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    ana.send(BUDI, Text("fills the mailbox"))
    backend.unreachable = True
    (promised,) = promise(ana, BUDI, "waits")
    backend.unreachable = False
    ana.maintain()
    with pytest.raises(MailboxFull):
        ana.send(BUDI, Text("taken back"), message_id=MESSAGE_ID)
    assert [item.message_id for item in ana.pending()] == [promised]
    assert read(ana) == []
    assert read(budi) == ["fills the mailbox"]
    end_holds(ana, backend)
    ana.maintain()
    assert read(budi) == ["waits"]
    ana.send(BUDI, Text("another text under the same id"), message_id=MESSAGE_ID)
    assert read(budi) == ["another text under the same id"]


def test_a_call_carries_four_megabytes_at_most(
    backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.unreachable = True
    for number in range(115):
        with pytest.raises(BackendError):
            ana.send(BUDI, Bytes(number.to_bytes(2) + bytes(65_534)))
    backend.unreachable = False
    sizes: list[int] = []
    deposit_all = backend.deposit_all

    def watched(token: bytes, envelopes: Sequence[bytes], **more: Any) -> Deposited:  # noqa: ANN401
        sizes.append(sum(map(len, envelopes)))
        return deposit_all(token, envelopes, **more)

    monkeypatch.setattr(backend, "deposit_all", watched)
    ana.maintain()
    assert max(sizes) <= 4 * 1024 * 1024 < sum(sizes)
    assert len(sizes) < 10
    items = budi.receive(1000)
    assert [
        cast("Bytes", item.content).data[:2] for item in items if isinstance(item, Message)
    ] == [number.to_bytes(2) for number in range(115)]


def test_who_is_written_to_in_a_damaged_session_gets_a_new_one(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    damage(ana, Table.SESSIONS)
    ana.send(BUDI, Text("in a new session"))
    assert read(budi) == ["in a new session"]
    assert ana.pending() == []


def test_what_has_to_be_encrypted_anew_goes_before_what_is_sent_then(
    backend: BackendSimulator,
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.unreachable = True
    promise(ana, BUDI, "one", "two")
    for item in waiting(ana):
        with store_of(ana).transaction() as tx:
            replace_waiting(tx, item, None)
    backend.unreachable = False
    ana.send(BUDI, Text("three"))
    assert read(budi) == ["one", "two", "three"]


# --- How long a walk over the outbox goes on ------------------------------------------------


class Line(BackendSimulator):
    """Loses calls that deposit, by a plan: `x` for one that is lost, and after its end all go."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = iter("")
        self.made = 0

    def follow(self, plan: str) -> None:
        self.plan, self.made = iter(plan), 0

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        self.made += 1
        if next(self.plan, ".") == "x":
            raise BackendError("the call was lost")
        return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)


def waits_for_thirty(line: Line) -> tuple[Client, list[Client]]:
    """Ana, and contacts for each of whom a message of hers waits that nobody has tried to send."""
    ana = make_client(ANA, line, plain_store())
    clients = [make_client(Address("threads", f"c{n}"), line) for n in range(30)]
    for client in clients:
        ana.send(client.device.address, Text("first"))
        assert read(client) == ["first"]
    line.follow("x" * 30)
    for client in clients:
        promise(ana, client.device.address, "waits")
    return ana, clients


@pytest.mark.parametrize(
    ("plan", "calls"), [("", 6), ("x.", 8), ("xxxxx.", 12), ("xxxxx.x.", 14), ("xxxxx.xxxxx.", 18)]
)
def test_a_walk_is_given_up_after_six_calls_that_fail_one_after_another(
    plan: str, calls: int
) -> None:
    """One that goes well begins the count anew. Who was tried before is left for another time."""
    line = Line()
    ana, _ = waits_for_thirty(line)
    for _ in range(2):
        line.follow(plan + "x" * 60)
        with pytest.raises(BackendError):
            ana.maintain()
        assert line.made == calls
    line.follow("")
    ana.maintain()
    assert ana.pending() == []


def test_a_walk_goes_on_where_one_call_of_six_goes_well() -> None:
    """Nobody waits for those who were tried alone in vain."""
    line = Line()
    ana, clients = waits_for_thirty(line)
    line.follow("xxxxx." * 3)
    with pytest.raises(BackendError):
        ana.maintain()
    left = {pending.recipient for pending in ana.pending()}
    assert len(left) == 4 + 4 + 4
    for client in clients:
        assert read(client) == ([] if client.device.address in left else ["waits"])
    ana.maintain()
    assert [read(client) == ["waits"] for client in clients].count(True) == len(left)


PARTS = [(name, kind) for name in BacklogName for kind in ("new", "tried")]


def put_to_encrypt(client: Client, name: BacklogName, kind: str, count: int) -> None:
    """Let something wait for each of so many that needs keys of theirs before it is sent."""
    with store_of(client).transaction() as tx:
        for n in range(count):
            recipient, message_id = Address("threads", f"{name}-{kind}-{n}"), n.to_bytes(16)
            backlog = Backlog(name, recipient)
            if name is BacklogName.REQUESTS:
                asked = RetryRequest(message_id, None, 0, "unknown_session")
                put_control(tx, recipient, message_id, asked, fresh_session=True)
            else:
                put_envelope(
                    tx, Envelope(message_id, ANA, recipient, MessageKind.SIGNAL, bytes(60))
                )
                (item,) = list_backlog(tx, backlog)
                replace_waiting(tx, item, None)
            if kind == "tried":
                block_backlog(tx, backlog, "backend_error")


def test_each_part_of_a_walk_tries_thirty_two_in_vain(
    backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What users sent, and what clients tell each other; in each who is new, and who was tried."""
    ana = make_client(ANA, backend, plain_store())
    for name, kind in PARTS:
        put_to_encrypt(ana, name, kind, 40)
    asked_for: list[str] = []

    def fetch_keys(_requester: Address, _token: bytes, wanted: Sequence[KeysWanted]) -> None:
        asked_for.extend(keys.user.user.rpartition("-")[0] for keys in wanted)
        raise BackendError("who hands out keys is down")

    monkeypatch.setattr(backend, "fetch_keys", fetch_keys)
    with pytest.raises(BackendError):
        ana.maintain()
    assert Counter(asked_for) == {f"{name}-{kind}": 32 for name, kind in PARTS}


def test_what_stands_behind_sixteen_that_are_given_up_is_given_up_in_the_same_call(
    backend: BackendSimulator,
) -> None:
    """They are to be encrypted anew, and there is nobody to do it for: nothing is deposited."""
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.unreachable = True
    promised = promise(ana, BUDI, *map(str, range(20)))
    for item in waiting(ana):
        with store_of(ana).transaction() as tx:
            replace_waiting(tx, item, None)
    backend.unreachable = False
    backend.forget(BUDI)
    ana.maintain()
    assert ana.pending() == []
    let_look(ana)
    given_up = [each for each in read_notices(ana) if each.kind is NoticeKind.NOT_DELIVERED]
    assert [each.code for each in given_up] == ["unknown_recipient"] * 20
    assert [each.messages[0] for each in given_up] == promised
