# SPDX-License-Identifier: Apache-2.0
"""In our groups nobody passes another's sender key off as his own, or for another group or state.

The attacker: a member, who was given Ana's key like everybody and gives it to Budi in his own
session: as it is, with the id that his own key would have, for another group, for other heads.
"""

import pytest

from e2ecross.crypto.group_kdf import make_distribution_id
from e2ecross.errors import EnvelopeMismatch, InvalidSignature, UnknownSenderKey
from e2ecross.protocol.sender_key import distribute
from e2ecross.wire.content import SenderKeyGrant
from e2ecross.wire.group import GroupDestination
from e2ecross.wire.sender_key_message import encode_distribution
from tests.attacks.support_members import assert_refused, gather_members, rest, shown
from tests.support.accounts import craft
from tests.support.devices import ANA, BUDI, TOKO
from tests.support.group_speaker import Speaker, found_group


def test_anas_key_as_his_is_refused() -> None:
    world, group = gather_members()
    ana, toko = Speaker(world, group, ANA), world.devices[TOKO]
    envelope = craft(toko, BUDI, ana.grant)
    assert_refused(world, BUDI, envelope, EnvelopeMismatch)


def test_his_own_id_with_her_chain_reads_nothing_that_she_says() -> None:
    world, group = gather_members()
    ana, toko = Speaker(world, group, ANA), Speaker(world, group, TOKO)
    data = encode_distribution(distribute(ana.key, toko.id))
    toko.tell(BUDI, SenderKeyGrant(toko.made, data))
    words = ana.write(BUDI, "I am for it")
    moved = type(words)(words.message_id, TOKO, BUDI, words.kind, words.ciphertext)
    assert_refused(world, BUDI, moved, UnknownSenderKey)
    # Nor where hers is held, too: there is no such key of his.
    ana.give(BUDI)
    words = ana.write(BUDI, "I am for it")
    moved = type(words)(words.message_id, TOKO, BUDI, words.kind, words.ciphertext)
    assert_refused(world, BUDI, moved, UnknownSenderKey)
    assert shown(world, BUDI, words) == ["I am for it"]


@pytest.mark.parametrize("what", ["group", "heads", "both"])
def test_a_key_for_one_place_is_none_for_another(what: str) -> None:
    world, group = gather_members()
    other = found_group(world, ANA, BUDI)
    ana = Speaker(world, group, ANA)
    heads = world.state(other, ANA).heads
    made = GroupDestination(
        other if what != "heads" else group, heads if what != "group" else ana.made.heads
    )
    envelope = craft(ana.device, BUDI, SenderKeyGrant(made, ana.grant.distribution))
    assert_refused(world, BUDI, envelope, EnvelopeMismatch)


def test_an_id_is_of_one_device_with_one_identity() -> None:
    world, group = gather_members()
    context = world.context(ANA)
    heads, key = world.state(group, ANA).heads, context.identity_key_pair.public
    ids = {
        make_distribution_id(group.value, heads, "whatsapp:ana.1", key),
        make_distribution_id(group.value, heads, "whatsapp:ana.2", key),
        make_distribution_id(group.value, heads, "messenger:ana.1", key),
        make_distribution_id(group.value, heads, "whatsapp:ana.1", key[:-1] + b"\0"),
        make_distribution_id(group.value, (bytes(32),), "whatsapp:ana.1", key),
        make_distribution_id(bytes(32), heads, "whatsapp:ana.1", key),
    }
    assert len(ids) == 6


def test_an_older_or_repeated_key_winds_nothing_back() -> None:
    world, group = gather_members()
    ana = Speaker(world, group, ANA)
    older = ana.grant
    ana.give(BUDI)
    assert shown(world, BUDI, ana.write(BUDI, "one"), ana.write(BUDI, "two")) == ["one", "two"]
    newer = Speaker(world, group, ANA)
    newer.give(BUDI)
    before = rest(world, BUDI)
    ana.tell(BUDI, older)
    changed = [row for where, row in rest(world, BUDI).items() if before.get(where) != row]
    assert len(changed) <= 1  # which of both is the newest
    assert shown(world, BUDI, newer.write(BUDI, "three")) == ["one", "two", "three"]


def test_a_signature_of_another_chain_is_refused() -> None:
    world, group = gather_members()
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    forger = Speaker(world, group, ANA)
    forger.key = type(forger.key)(ana.key.chain_id, forger.key.chain)
    assert_refused(world, BUDI, forger.write(BUDI), InvalidSignature)
