# SPDX-License-Identifier: Apache-2.0
"""Every recorded commit, state, refusal and verdict of `groups.json`."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pytest

from e2ecross.address import UserId
from e2ecross.crypto.keys import key_pair_from_private
from e2ecross.errors import RemoteError
from e2ecross.protocol.group_commit import group_of, sign_commit, take_commit, verify_commit
from e2ecross.protocol.group_graph import GroupGraph, places_in
from e2ecross.protocol.group_state import GroupView
from e2ecross.protocol.group_verdict import require_current_key, require_member
from e2ecross.wire.group import GroupId, MemberId, Role
from e2ecross.wire.group_commit import GroupCommit, SignedGroupCommit
from tests.support.entropy import ReplayedEntropy
from tests.support.groups import NaiveGroup
from tests.support.vectors import groups, public_key, unhex

ACCOUNTS: Final = groups("accounts")
LIFE: Final = groups("life")
STATES: Final = groups("states")
BASE: Final = {each["name"]: each for state in STATES for each in state["commits"]}
MEMBERS: Final = {
    name: MemberId(UserId.parse(each["user"]), public_key(each["public"]))
    for name, each in ACCOUNTS.items()
}
VERDICTS: Final = groups("verdicts")["vectors"]
REFUSALS: Final = groups("commit_refusals")["vectors"]


def read(item: Mapping[str, str]) -> SignedGroupCommit:
    return SignedGroupCommit.decode(unhex(item["commit"]), unhex(item["signature"]))


def roster(names: Mapping[str, str]) -> dict[MemberId, Role]:
    return {MEMBERS[name]: Role[role.upper()] for name, role in names.items()}


def held(items: Iterable[Mapping[str, str]]) -> GroupGraph:
    """The graph of some commits, each judged; parents may come later."""
    waiting = [read(item) for item in items]
    genesis = next(signed for signed in waiting if signed.commit.is_genesis)
    graph = GroupGraph(group_of(genesis))
    while waiting:
        signed = waiting.pop(0)
        if all(graph.find(parent) for parent in signed.commit.parents):
            graph = take_commit(graph, signed)
        else:
            waiting.append(signed)
    return graph


def test_a_life_gives_its_heads_context_hashes_and_rosters() -> None:
    graph = GroupGraph(GroupId(unhex(LIFE["group_id"])))
    for item in LIFE["commits"]:
        graph = take_commit(graph, read(item))
        state = GroupView(graph, graph.all).state()
        assert [head.hex() for head in graph.heads] == item["heads"]
        assert state.heads == graph.heads
        assert state.members == roster(item["roster"])
        assert graph.nodes[-1].hash.hex() == item["hash"]
    assert state.settings.name == LIFE["name_at_the_end"]


@pytest.mark.parametrize(
    "item",
    [*LIFE["commits"], *BASE.values()],
    ids=lambda item: item["name"],
)
def test_a_recorded_commit_is_signed_the_same(item: Mapping[str, Any]) -> None:
    commit = GroupCommit.decode(unhex(item["commit"]))
    pair = key_pair_from_private(unhex(ACCOUNTS[item["author"]]["private"]))
    signed = sign_commit(commit, pair, ReplayedEntropy([unhex(item["z"])]))
    assert signed == read(item)
    assert commit.author == MEMBERS[item["author"]]
    verify_commit(signed)


@pytest.mark.parametrize("item", STATES, ids=lambda item: item["name"])
def test_a_state_is_the_same_in_any_order(item: Mapping[str, Any]) -> None:
    names = {each["hash"]: each["name"] for each in item["commits"]}
    for order in itertools.permutations(item["commits"]):
        graph = held(order)
        view = GroupView(graph, graph.all)
        void = {place for place in places_in(graph.all) if view.is_void(place)}
        state = view.state()
        assert {names[graph.nodes[place].hash.hex()] for place in void} == set(item["void"])
        assert [head.hex() for head in state.heads] == item["heads"]
        assert state.members == roster(item["roster"])
        if "settings_name" in item:
            assert state.settings.name == item["settings_name"]


@pytest.mark.parametrize("item", STATES, ids=lambda item: item["name"])
def test_the_naive_implementation_agrees(item: Mapping[str, Any]) -> None:
    naive = NaiveGroup.of(held(item["commits"]))
    names = {bytes.fromhex(each["hash"]): each["name"] for each in item["commits"]}
    everything = naive.everything
    assert {names[each] for each in everything if naive.void(each, everything)} == set(item["void"])
    assert naive.roster(everything) == roster(item["roster"])


@pytest.mark.parametrize("item", REFUSALS, ids=lambda item: item["name"])
def test_a_commit_is_refused(item: Mapping[str, Any]) -> None:
    graph = held(BASE[name] for name in item["after"])
    before = graph.heads, graph.all
    with pytest.raises(RemoteError) as caught:
        take_commit(graph, read(item))
    assert caught.value.code == item["expect"]
    assert (graph.heads, graph.all) == before


@pytest.mark.parametrize("item", VERDICTS, ids=lambda item: item["name"])
def test_a_message_is_judged(item: Mapping[str, Any]) -> None:
    """By the checks that they show: the group's last settings, by which few may send, are off."""
    graph = held(LIFE["commits"])
    key_heads = [unhex(each) for each in item["key_heads"]]
    heads = [unhex(each) for each in item["message_heads"]]
    refused = None
    try:
        graph.behind([*key_heads, *heads])
        require_member(graph, heads, MEMBERS[item["sender"]])
        require_current_key(graph, key_heads, heads)
    except RemoteError as error:
        refused = error.code
    assert (refused or "shown") == item["expect"]
