# SPDX-License-Identifier: Apache-2.0
"""Back ends that are not what `Backend` asks for: refused, or an error by which nothing is lost."""

import copy
import gc
import pickle
import warnings
from collections.abc import Callable
from typing import Any, cast

import pytest

from e2ecross import Client, Text
from e2ecross.client.backend import Backend
from e2ecross.errors import BackendError, InvalidArgument
from e2ecross.state.stripe import stripe_of
from e2ecross.wire.exchange import Deposited, Waiting
from tests.client.conversation import meet, promise, read, reopen
from tests.support.devices import ANA, BUDI, BackendSimulator, make_client, make_device
from tests.support.store_kinds import STRIPES

METHODS = [name for name in vars(Backend) if not name.startswith("_")]


class Silent(BackendSimulator):
    """Answers one method with whatever it is told to, after doing it or in the place of it."""

    method = ""
    answer: object = None
    does_it = False

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401
        found = super().__getattribute__(name)
        if name not in METHODS or name != super().__getattribute__("method"):
            return found

        def call(*arguments: object, **keywords: object) -> object:
            if self.does_it:
                found(*arguments, **keywords)
            return self.answer() if callable(self.answer) else self.answer

        return call


def awaitable() -> object:
    async def nothing() -> None: ...

    return nothing()


def test_the_methods_are_those_of_the_final_back_end() -> None:
    assert METHODS == [
        "register",
        "publish",
        "publish_devices",
        "epochs",
        "one_time_prekey_count",
        "fetch_keys",
        "deposit_all",
        "deposit_copies",
        "fetch",
        "acknowledge",
        "put_link",
        "get_link",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_back_end_that_lacks_a_method_is_refused(method: str) -> None:
    given = {name: (lambda *_, **__: None) for name in METHODS if name != method}
    with pytest.raises(InvalidArgument, match=rf"\bbackend\b.*\b{method}\b"):
        Client(make_device(ANA), cast("Any", type("Lacking", (), given)()))


@pytest.mark.parametrize("method", METHODS)
def test_a_back_end_with_a_coroutine_function_is_refused(method: str) -> None:
    async def call(*_: object, **__: object) -> None: ...

    given = {name: (lambda *_, **__: None) for name in METHODS} | {method: call}
    with pytest.raises(InvalidArgument, match=rf"synchronous.*\b{method}\b.*coroutine"):
        Client(make_device(ANA), cast("Any", type("Asynchronous", (), given)()))


CALLS: dict[str, Callable[[Client], object]] = {
    "register": Client.register,
    "publish": Client.register,
    "epochs": Client.maintain,
    "one_time_prekey_count": Client.maintain,
    "fetch_keys": lambda client: client.send(BUDI, Text("halo")),
    "deposit_all": Client.maintain,
    "fetch": Client.receive,
    "acknowledge": Client.receive,
}


@pytest.mark.parametrize("method", CALLS)
def test_an_awaitable_in_the_place_of_an_answer_is_an_error(method: str) -> None:
    """A method that is no coroutine function, and returns what somebody would have to wait for."""
    backend = Silent()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    if method == "publish":
        ana = Client(make_device(ANA, seed="new"), backend)
        backend.forget(ANA)
    elif method != "fetch_keys":
        meet(ana, budi)
        backend.fail("deposit")
        promise(ana, BUDI, "waits")
    ana = reopen(ana, backend)
    backend.method, backend.answer = method, awaitable
    if method == "acknowledge":
        backend.method = ""
        budi.send(ANA, Text("one"))
        backend.method = method
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that nobody has waited for it
        if method == "acknowledge":
            items = ana.receive()
            assert len(items) == 1  # the item comes, and its number stays
            if STRIPES:  # of one of many workers it is not told before
                ana.confirm(items)
        with pytest.raises(BackendError, match=rf"{method} with an awaitable.*synchronous"):
            CALLS[method](ana)
        gc.collect()
    backend.method = ""
    # Nothing is lost by it.
    if method == "publish":
        ana.register()
        return
    if method == "fetch_keys":
        ana.send(BUDI, Text("waits"))
    ana.maintain()
    assert read(budi) == ["waits"]


@pytest.mark.parametrize("does_it", [True, False])
@pytest.mark.parametrize("answer", [True, 0, "ok", b"", {}, Deposited()])
@pytest.mark.parametrize("method", ["register", "publish", "acknowledge"])
def test_something_where_nothing_is_due_is_an_error(
    method: str, answer: object, does_it: bool
) -> None:
    backend = Silent()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    if method == "acknowledge":
        budi.send(ANA, Text("one"))
    else:
        ana = Client(make_device(ANA, seed="new"), backend)
        backend.forget(ANA)
    backend.method, backend.answer, backend.does_it = method, answer, does_it
    if method == "acknowledge":
        assert read(ana) == ["one"]
    else:
        with pytest.raises(BackendError, match=f"{method} with something where nothing is due"):
            ana.register()
    backend.method = ""
    if method == "acknowledge":
        assert read(ana) == []
    else:
        ana.register()
    assert backend.mailbox(ANA) == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        True,
        [],
        {},
        [None],
        Deposited(refused=cast("Any", [BackendError("x")])),
        Deposited(refused=cast("Any", {0: "full"})),
        Deposited(refused=cast("Any", {"0": BackendError("x")})),
        Deposited(refused=cast("Any", {0: ValueError("x")})),
        Deposited(epochs=cast("Any", 5)),
        Deposited(epochs={stripe_of(BUDI.user_id, STRIPES): -5}),
        Deposited(epochs=cast("Any", {stripe_of(BUDI.user_id, STRIPES): "5"})),
    ],
)
@pytest.mark.parametrize("does_it", [True, False])
def test_no_answer_about_what_was_refused_loses_nothing(answer: object, does_it: bool) -> None:
    backend = Silent()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.method, backend.answer, backend.does_it = "deposit_all", answer, does_it
    with pytest.raises(BackendError, match="the back end answered deposit_all with"):
        ana.send(BUDI, Text("halo"))
    assert len(ana.pending()) == 1
    backend.method = ""
    ana.maintain()
    assert read(budi) == ["halo"]
    assert ana.pending() == []


def test_refusals_of_places_that_there_are_not_are_nobodys() -> None:
    backend = Silent()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.method, backend.does_it = "deposit_all", True
    backend.answer = Deposited({-1: BackendError("x"), 7: BackendError("x")})
    ana.send(BUDI, Text("halo"))
    assert ana.pending() == []
    assert read(budi) == ["halo"]


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_is_not_pickled_or_copied(
    way: Callable[[Client], object], backend: BackendSimulator
) -> None:
    client = make_client(ANA, backend)
    with pytest.raises(TypeError, match="a Client holds secrets and cannot be pickled or copied"):
        way(client)


def test_an_epoch_that_is_not_told_is_none() -> None:
    backend = Silent()
    ana = make_client(ANA, backend)
    link = ana._way()
    backend.method, backend.answer = "epochs", {}
    assert link.backend.epochs(ANA, link.token) == {}


def test_the_highest_number_of_an_envelope_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = BackendSimulator()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    budi.send(ANA, Text("halo"))
    (data,) = backend.mailbox(ANA)
    there = [Waiting(2**64 - 1, data)]
    monkeypatch.setattr(
        backend, "fetch", lambda *args, **_: [w for w in there if w.number > args[3]]
    )
    assert read(ana) == ["halo"]
