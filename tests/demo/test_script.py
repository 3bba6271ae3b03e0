# SPDX-License-Identifier: Apache-2.0
"""The demo, as somebody would run it: its facts, its output, and what it leaves behind."""

import itertools
import json
import re
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from e2ecross import Device, Envelope
from e2ecross.demo import people
from e2ecross.demo.facts import Foiled
from e2ecross.demo.scenes.end import Summary
from e2ecross.demo.script import SCENES
from e2ecross.protocol.device_list import verify_list
from e2ecross.stores import SQLiteStore
from e2ecross.wire.capabilities import decode_capabilities
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.linking import LinkCode
from tests.cli.support import call, read_qr_code, run
from tests.support.service import require_extras

ANA, BUDI, TOKO = "whatsapp:ana.1", "instagram:budi.1", "messenger:toko-kopi.1"
LAPTOP, TABLET, GHOST = "whatsapp:ana.2", "instagram:budi.2", "instagram:budi.3"
PEOPLE = (ANA, BUDI, TOKO)


class Played(NamedTuple):
    folder: Path
    facts: dict[str, Any]

    def letter(self, number: int) -> dict[str, Any]:
        letter: dict[str, Any] = self.facts["messages"][number - 1]
        return letter


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One run with `--json --dir`."""
    folder = tmp_path_factory.mktemp("demo") / "new"
    ended = run("demo", "--json", "--dir", str(folder))
    assert (ended.returncode, ended.stderr) == (0, b"")
    return Played(folder, json.loads(ended.stdout))


@pytest.fixture(scope="module")
def plain() -> str:
    """One run with `--plain` on a terminal that knows ASCII only."""
    ended = run("demo", "--plain", environment={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, b"")
    return ended.stdout.decode("ascii")


@pytest.fixture(scope="module")
def coloured() -> str:
    """One run in colour."""
    pytest.importorskip("rich")
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    ended = run("demo", environment=terminal)
    assert (ended.returncode, ended.stderr) == (0, b"")
    return ended.stdout.decode()


def without_colour(text: str) -> str:
    return re.sub("\x1b\\[[0-9;]*m", "", text)


def test_it_says_that_it_went_well(played: Played) -> None:
    assert played.facts["ok"] is True
    assert played.facts["version"] == 1
    assert played.facts["seconds"] > 0
    assert played.facts["folder"] == str(played.folder)


def test_three_processes_publish_their_keys(played: Played) -> None:
    accounts = played.facts["registration"]["accounts"]
    assert [account["person"] for account in accounts] == list(PEOPLE)
    assert len({account["process_id"] for account in accounts}) == 3
    assert all(account["one_time_prekeys"] == 100 for account in accounts)
    assert all(re.fullmatch("05[0-9a-f]{64}", account["identity_key"]) for account in accounts)


def test_all_six_directions_are_read(played: Played) -> None:
    directions = played.facts["relay"]["directions"]
    ways = {(one["sender"], one["recipient"]) for one in directions if one["read"] > 0}
    assert ways == set(itertools.permutations(PEOPLE, 2))
    assert all(one["sent"] == one["read"] for one in directions)
    assert all(letter["read"] for letter in played.facts["messages"])


def test_a_reply_turns_the_ratchet(played: Played) -> None:
    scene = played.facts["first_contact"]
    first, reply, turned = (
        played.letter(scene[key])["view"] for key in ("first", "reply", "turned")
    )
    assert [view["kind"] for view in (first, reply, turned)] == ["prekey", "signal", "signal"]
    assert first["sender"] == turned["sender"] == reply["recipient"]
    assert first["message"]["ratchet_key"] != turned["message"]["ratchet_key"]
    assert turned["message"]["counter"] == 0


def test_somebody_offline_gets_letters_later_and_out_of_order(played: Played) -> None:
    scene = played.facts["offline"]
    assert scene["person"] == BUDI
    assert scene["ended_process_id"] != scene["new_process_id"]
    counters = [played.letter(n)["view"]["message"]["counter"] for n in scene["delivered"]]
    assert sorted(counters) == [0, 1, 2] != counters
    assert sorted(scene["delivered"]) == scene["letters"]
    assert played.letter(scene["answer"])["from"] == BUDI


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ("flipped_bit", [("flipped_bit", "AuthenticationFailed", "authentication_failed")]),
        (
            "readdressed",
            [
                ("moved", "EnvelopeMismatch", "envelope_mismatch"),
                ("readdressed", "AuthenticationFailed", "authentication_failed"),
            ],
        ),
        ("sender_rewritten", [("sender_rewritten", "EnvelopeMismatch", "envelope_mismatch")]),
        ("replay", [("replay", "DuplicateMessage", "duplicate_message")]),
    ],
)
def test_each_attack_is_refused_and_the_talk_goes_on(
    played: Played, scene: str, expected: list[tuple[str, str, str]]
) -> None:
    facts = played.facts[scene]
    attacks = facts["attacks"]
    assert [(one["name"], one["error"], one["code"]) for one in attacks] == expected
    genuine = facts["letter" if scene == "replay" else "genuine"]
    assert all(one["letter"] == genuine for one in attacks)
    assert facts["then"]
    assert all(played.letter(number)["read"] for number in [genuine, *facts["then"]])


def test_what_was_delivered_differs_from_the_letter_only_where_it_says(played: Played) -> None:
    letter = played.letter(played.facts["flipped_bit"]["genuine"])["view"]
    forged = played.facts["flipped_bit"]["attacks"][0]["view"]
    bits = int(letter["message"]["encrypted"], 16) ^ int(forged["message"]["encrypted"], 16)
    assert bits.bit_count() == 1
    moved, readdressed = (one["view"] for one in played.facts["readdressed"]["attacks"])
    assert (moved["recipient"], readdressed["recipient"]) == (BUDI, TOKO)
    rewritten = played.facts["sender_rewritten"]
    assert rewritten["attacks"][0]["view"]["sender"] == ANA
    assert played.letter(rewritten["genuine"])["from"] == TOKO
    assert played.letter(rewritten["genuine"])["view"]["kind"] == "prekey"


def test_safety_numbers_are_equal_on_both_sides(played: Played) -> None:
    pairs = played.facts["safety_numbers"]["pairs"]
    assert [(pair["one"], pair["other"]) for pair in pairs] == list(
        itertools.combinations(PEOPLE, 2)
    )
    for pair in pairs:
        assert re.fullmatch("[0-9]{60}", pair["one_digits"])
        assert pair["one_digits"] == pair["other_digits"]
        assert pair["equal"] is pair["scanned"] is True


def test_the_safety_numbers_are_those_of_the_stores(played: Played) -> None:
    with SQLiteStore(played.folder / "ana.db") as store:
        ana = Device.open(store)
        for pair in played.facts["safety_numbers"]["pairs"][:2]:
            other = played.letter(5 if pair["other"] == BUDI else 1)
            recipient = Envelope.decode(bytes.fromhex(other["envelope"])).recipient
            assert ana.safety_number(recipient).digits == pair["one_digits"]


def test_two_devices_are_linked_and_the_list_at_the_relay_has_them(played: Played) -> None:
    linked = played.facts["linking"]["linked"]
    assert [(one["phone"], one["device"]) for one in linked] == [(ANA, LAPTOP), (BUDI, TABLET)]
    phones = {one["person"]: one for one in played.facts["registration"]["accounts"]}
    everybody = {one["process_id"] for one in (*phones.values(), *linked)}
    assert len(everybody) == 5
    for one in linked:
        user = one["asked_about"]
        assert one["phone"] == f"{user}.1"
        assert re.fullmatch("[0-9]{6}", one["digits"])
        assert str(LinkCode.from_text(one["code"]).app) == user.partition(":")[0]
        signed = list_at_the_relay(played.folder, user)
        verify_list(signed)
        keys = {each.device: each.identity_key.hex() for each in signed.list.devices}
        assert keys == {1: phones[one["phone"]]["identity_key"], 2: one["identity_key"]}
        assert (one["list_number"], one["devices"]) == (signed.list.seq, 2)


def list_at_the_relay(folder: Path, user: str) -> SignedDeviceList:
    connection = sqlite3.connect(folder / "relay.db")
    query = "SELECT signed FROM device_lists WHERE user = ?"
    (signed,) = connection.execute(query, (user,)).fetchone()
    connection.close()
    return SignedDeviceList.decode(signed)


def test_the_secret_of_a_code_is_not_at_the_relay(played: Played) -> None:
    files = b"".join(file.read_bytes() for file in played.folder.glob("relay.db*"))
    for one in played.facts["linking"]["linked"]:
        code = LinkCode.from_text(one["code"])
        assert code.secret not in files
        assert one["code"].encode() not in files
        assert one["digits"].encode() not in files


def test_one_message_reaches_all_four_devices(played: Played) -> None:
    scene = played.facts["four_devices"]
    for letter, copies, others in (
        ("letter", "copies", [TABLET, LAPTOP]),
        ("answer", "answer_copies", [LAPTOP, BUDI]),
    ):
        message, found = played.letter(scene[letter]), scene[copies]
        devices = {message["from"], message["to"], *(copy["device"] for copy in found)}
        assert devices == {ANA, LAPTOP, BUDI, TABLET}
        assert [copy["device"] for copy in found] == others
        assert set(message["devices"]) == devices - {message["from"]}
        ids = {message["view"]["message_id"], *(copy["view"]["message_id"] for copy in found)}
        assert len(ids) == 1
        bodies = {copy["view"]["message"]["encrypted"] for copy in found}
        assert len({message["view"]["message"]["encrypted"], *bodies}) == 3


def test_a_device_of_the_relay_gets_nothing_and_is_refused(played: Played) -> None:
    scene = played.facts["ghost"]
    attack, letter = scene["attack"], played.letter(scene["letter"])
    assert (scene["address"], scene["copies_for_ghost"]) == (GHOST, 0)
    assert sorted(scene["believed"]) == [BUDI, TABLET]
    assert sorted(letter["devices"]) == [BUDI, TABLET, LAPTOP]
    assert letter["read"]
    assert (attack["name"], attack["code"]) == ("ghost", "unlisted_device")
    assert (attack["view"]["sender"], attack["view"]["recipient"]) == (GHOST, ANA)
    genuine = list_at_the_relay(played.folder, BUDI.removesuffix(".1"))
    assert scene["list_number"] == genuine.list.seq + 1  # it seemed to be newer


def test_what_apps_show_is_their_own_choice_and_in_the_signed_list(played: Played) -> None:
    scene = played.facts["apps_differ"]
    everything = [10, *range(13, 21), 32, 33]
    wanted = {ANA: everything, BUDI: [10, 13, 15, 16, 17, 19, 20]}
    announced = {one["person"]: one["capabilities"] for one in scene["announced"]}
    assert {person: [*set(ids) - {35}] for person, ids in announced.items()} == {
        person: [*set(ids)] for person, ids in wanted.items()
    }
    for user, ids in (
        ("whatsapp:ana", everything),
        ("instagram:budi", wanted[BUDI]),
        ("messenger:toko-kopi", [10, 13, 15, 16, 17, 19, 20, 32, 33]),
    ):
        for each in list_at_the_relay(played.folder, user).list.devices:
            assert decode_capabilities(each.capabilities) - {35} == {*ids}


def test_a_poll_is_text_elsewhere_and_its_sender_knew(played: Played) -> None:
    scene = played.facts["apps_differ"]
    told, letter = scene["told"], played.letter(scene["letter"])
    assert (told["error"], told["code"], told["lacking"]) == ("LossyContent", "lossy_content", [14])
    assert told["text"] == letter["text"] == "Which roast for Saturday?\n1. Gayo\n2. Toraja"
    assert (letter["from"], letter["to"], letter["read"]) == (ANA, BUDI, True)
    assert letter["view"]["message"]["counter"] == 0  # two were refused before it


def test_what_would_not_disappear_is_not_sent(played: Played) -> None:
    refused = played.facts["apps_differ"]["refused"]
    assert (refused["error"], refused["code"]) == ("ContentRefused", "content_refused")
    assert (refused["sender"], refused["recipient"], refused["lacking"]) == (ANA, BUDI, [32])
    assert refused["text"] not in {letter["text"] for letter in played.facts["messages"]}


def test_a_photo_reaches_both_devices_over_interruptions(played: Played) -> None:
    scene = played.facts["photo"]
    photo = (played.folder / "budi-photo.png").read_bytes()
    assert scene["size"] == len(photo)
    assert scene["ended_process_id"] != scene["new_process_id"]
    assert 0 < scene["interrupted_at"] < scene["went_on"] <= scene["relay_size"]
    assert [one["device"] for one in scene["received"]] == [ANA, LAPTOP]
    for name, one in zip(("ana", "ana-laptop"), scene["received"], strict=True):
        assert (played.folder / f"{name}-photo.png").read_bytes() == photo
        assert 0 < one["kept"] < one["went_on"] <= one["size"] == len(photo)
        assert one["is_right"]
    letter = played.letter(scene["letter"])
    assert (letter["from"], letter["to"]) == (BUDI, ANA)
    assert sorted(letter["devices"]) == [TABLET, ANA, LAPTOP]


def test_swapped_chunks_of_the_photo_are_refused(played: Played) -> None:
    attack = played.facts["photo"]["attack"]
    assert (attack["name"], attack["target"]) == ("swapped_chunks", LAPTOP)
    assert (attack["error"], attack["code"]) == ("AttachmentCorrupted", "attachment_corrupted")
    kept = played.facts["photo"]["received"][1]["kept"]
    assert attack["chunks"] == [kept // 65_536 + 1, kept // 65_536 + 2]  # nothing of them is kept


def test_the_relay_knows_of_the_photo_a_name_a_size_and_who_sent_it(played: Played) -> None:
    scene = played.facts["photo"]
    (file,) = (played.folder / "relay-files").iterdir()
    blob = file.read_bytes()
    assert (file.name, len(blob)) == (scene["relay_name"], scene["relay_size"])
    connection = sqlite3.connect(played.folder / "relay.db")
    cursor = connection.execute("SELECT * FROM blobs")
    columns = [column[0] for column in cursor.description]
    (row,) = cursor.fetchall()
    connection.close()
    known = dict(zip(columns, row, strict=True))
    assert set(known) == {"id_sha256", "user", "size", "stored", "until_ms"}
    assert (known["id_sha256"].hex(), known["user"]) == (file.name, scene["uploaded_by"])
    assert scene["uploaded_by"] == "instagram:budi"
    photo = (played.folder / "budi-photo.png").read_bytes()
    assert len(photo) < known["size"] == len(blob) < 1.07 * len(photo)
    at_relay = b"".join(each.read_bytes() for each in played.folder.glob("relay.db*")) + blob
    assert b"photo.png" not in at_relay
    assert not [at for at in range(0, len(photo), 4096) if photo[at : at + 16] in at_relay]


GROUP_DEVICES = {ANA, LAPTOP, BUDI, TABLET, TOKO}


def group_letters(played: Played) -> list[dict[str, Any]]:
    group, attacks = played.facts["group"], played.facts["group_attacks"]
    hidden = attacks["hidden"]
    found = [*group["letters"], attacks["ghost"]["letter"], attacks["badged"]]
    return [*found, hidden["letter"], hidden["answer"]]


def test_a_group_over_three_apps_has_one_ciphertext_a_message(played: Played) -> None:
    scene, letters = played.facts["group"], group_letters(played)
    roles = {one["user"]: one["role"] for one in scene["members"]}
    wanted = {"whatsapp:ana": "owner", "instagram:budi": "member", "messenger:toko-kopi": "member"}
    assert roles == wanted
    assert [letter["number"] for letter in letters] == [*range(1, len(letters) + 1)]
    assert {letter["sender"].split(":")[0] for letter in scene["letters"]} == {
        *("whatsapp", "instagram", "messenger")
    }
    for letter in scene["letters"]:
        assert {letter["sender"], *letter["devices"]} == GROUP_DEVICES
        assert letter["view"]["kind"] == "sender_key"
        assert letter["envelope"].endswith(letter["view"]["sender_key"]["signature"])
    assert scene["letters"][0]["kept"] == 1


def test_the_relay_does_not_know_the_group(played: Played) -> None:
    scene = played.facts["group"]
    files = b"".join(file.read_bytes() for file in played.folder.glob("relay.db*"))
    store = (played.folder / "toko-kopi.db").read_bytes()
    name, group_id = scene["name"].encode(), bytes.fromhex(scene["group"].removeprefix("group:"))
    assert name in store  # the search is not blind
    assert group_id in store
    assert scene["names_found"] == files.count(name) + files.count(group_id) == 0


def test_an_account_of_the_relay_is_no_member(played: Played) -> None:
    scene = played.facts["group_attacks"]["ghost"]
    assert (scene["address"], scene["signed_by"]) == ("messenger:somebody.1", ANA)
    assert (scene["error"], scene["code"]) == ("UnknownSenderKey", "unknown_sender_key")
    assert scene["members"] == played.facts["group"]["members"]
    assert scene["copies_for_ghost"] == 0
    assert {scene["letter"]["sender"], *scene["letter"]["devices"]} == GROUP_DEVICES


def test_another_senders_name_on_a_message_is_refused(played: Played) -> None:
    scene = played.facts["group_attacks"]
    attack, badged = scene["attack"], scene["badged"]
    assert (attack["name"], attack["code"]) == ("badged", "unknown_sender_key")
    assert (attack["view"]["sender"], badged["sender"]) == (BUDI, ANA)
    assert attack["target"] == attack["view"]["recipient"] == TOKO
    assert attack["view"]["sender_key"] == badged["view"]["sender_key"]


def test_a_removal_cannot_be_hidden_for_long(played: Played) -> None:
    scene = played.facts["group_attacks"]["hidden"]
    assert (scene["removed"], scene["hidden_from"], scene["withheld"]) == (TOKO, BUDI, 2)
    assert scene["code"] == "unknown_group_state"
    assert set(scene["notices"]) == {"group_removed"}
    assert scene["told_removed"] == ["group_out"]
    for letter in (scene["letter"], scene["answer"]):
        assert {letter["sender"], *letter["devices"]} == GROUP_DEVICES - {TOKO}
    assert scene["copies_for_removed"] == 0
    before = played.facts["group"]["letters"][0]["view"]["sender_key"]["distribution_id"]
    assert scene["letter"]["view"]["sender_key"]["distribution_id"] != before  # another key


def test_no_plaintext_is_at_the_relay(played: Played) -> None:
    letters = [*played.facts["messages"], *group_letters(played)]
    texts = [letter["text"] for letter in letters]
    kept = [bytes.fromhex(letter["envelope"]) for letter in letters]
    files = [file.read_bytes() for file in played.folder.glob("relay.db*")]
    files += [file.read_bytes() for file in (played.folder / "relay-files").iterdir()]
    assert ANA.encode() in b"".join(files)  # the search is not blind
    words = {word for text in texts for word in re.findall("[A-Za-zé]{7,}", text)}
    assert len(words) > 8
    for seen in [*kept, *files]:
        assert not [text for text in texts if text.encode() in seen]
        assert not [word for word in words if word.encode() in seen]
    notes = played.facts["relay"]
    assert notes["texts_found"] == 0
    assert notes["addresses_found"] > 0
    assert notes["searches"] == len(texts)


def test_the_talk_goes_on_over_a_network(played: Played) -> None:
    require_extras()
    scene = played.facts["network"]
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", scene["url"])
    assert scene["throughout"] is False
    phones = {one["process_id"] for one in played.facts["registration"]["accounts"]}
    others = {one["process_id"] for one in played.facts["linking"]["linked"]}
    assert scene["service_process_id"] not in phones | others
    letters = [played.letter(number) for number in scene["letters"]]
    assert {(one["from"], one["to"]) for one in letters} == {(ANA, BUDI), (BUDI, ANA)}
    assert all(one["view"]["kind"] == "signal" for one in letters)  # in the sessions of before
    assert all(one["read"] for one in letters)
    assert [copy["device"] for copy in scene["copies"]] == [LAPTOP, TABLET] * len(letters)


def test_the_summary_counts_what_the_scenes_show(played: Played) -> None:
    letters = len(played.facts["messages"])
    over_network = len(played.facts["network"]["letters"])
    copies = 8 + len(played.facts["network"]["copies"])
    assert over_network in {0, 3}  # 0 where what it needs is not installed
    assert played.facts["summary"] == {
        "directions": 6,
        "directions_working": 6,
        "letters_sent": letters,
        "letters_read": letters,
        "copies_made": copies,
        "copies_read": copies,
        "group_letters": 7,
        "group_copies_made": 26,
        "group_copies_read": 26,
        "post_quantum": letters + copies,
        "files_wanted": 2,
        "files_right": 2,
        "attacks_tried": 10,
        "attacks_refused": 10,
        "pairs": 3,
        "pairs_equal": 3,
        "texts_found": 0,
        "attacks": [
            {"name": name, "target": target, "code": code}
            for name, target, code in (
                ("flipped_bit", ANA, "authentication_failed"),
                ("moved", TOKO, "envelope_mismatch"),
                ("readdressed", TOKO, "authentication_failed"),
                ("sender_rewritten", BUDI, "envelope_mismatch"),
                ("replay", ANA, "duplicate_message"),
                ("swapped_chunks", LAPTOP, "attachment_corrupted"),
                ("ghost", ANA, "unlisted_device"),
                ("ghost_member", BUDI, "unknown_sender_key"),
                ("badged", TOKO, "unknown_sender_key"),
                ("hidden_removal", BUDI, "unknown_group_state"),
            )
        ],
        "linked": [LAPTOP, TABLET],
        "photo_bytes": played.facts["photo"]["size"],
        "group_members": 3,
        "sent_over_network": over_network or None,
    }


def test_dir_keeps_stores_relay_and_envelopes_for_inspect(played: Played) -> None:
    names = {file.name for file in played.folder.iterdir()}
    assert {"budi-photo.png", "ana-photo.png", "ana-laptop-photo.png", "relay-files"} <= names
    assert not [name for name in names if ".part" in name or name.startswith("e2ecross-")]
    assert {"ana.db", "budi.db", "toko-kopi.db", "relay.db", "message-01.envelope"} <= names
    assert {"ana-laptop.db", "budi-tablet.db"} <= names
    assert not [name for name in names if name.endswith(("-wal", "-journal"))]
    ended = call("inspect", "--json", str(played.folder / "message-01.envelope"))
    assert json.loads(ended.out) == played.letter(1)["view"]


def test_a_folder_with_a_demo_is_refused_and_unchanged(played: Played) -> None:
    before = {file: file.read_bytes() for file in played.folder.iterdir() if file.is_file()}
    ended = call("demo", "--dir", str(played.folder))
    assert (ended.code, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 1
    assert "delete these files or name another folder" in ended.err
    assert {each: each.read_bytes() for each in played.folder.iterdir() if each.is_file()} == before


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "file/below"):
        ended = call("demo", "--dir", str(tmp_path / name))
        assert (ended.code, ended.out) == (1, "")
        assert "is not a folder: name another one" in ended.err


def test_plain_text_shows_all_of_it_in_ascii_at_80_columns(plain: str, played: Played) -> None:
    assert max(map(len, plain.splitlines())) <= 80
    assert "\x1b" not in plain
    for wanted in (
        "THE BACK END SAW",
        "process",
        "opening message, 2,2",
        "is handed 7, 5 and 6",
        "NO: Ana's app refuses it",
        "(AuthenticationFailed)",
        "NO: Toko Kopi's app refuses it",
        "(EnvelopeMismatch)",
        "(DuplicateMessage)",
        "scan matches",
        "(UnlistedDevice)",
        "NO: Ana's own app refuses to send it",
        "(ContentRefused)",
        "NO: Ana's laptop refuses them",
        "(AttachmentCorrupted)",
        "NO: messenger:somebody.1 cannot",
        "(UnknownSenderKey)",
    ):
        assert wanted in " ".join(plain.split())
    flat = " ".join(re.sub(r"^.{41} \| ?", "", plain, flags=re.MULTILINE).split())
    for letter in [*played.facts["messages"], *group_letters(played)]:
        text = letter["text"].replace("☕", "").replace("é", "?").replace("è", "?")
        assert " ".join(text.split()) in flat


@pytest.mark.parametrize("in_colour", [False, True])
def test_the_code_on_the_terminal_is_read_by_a_scanner(
    in_colour: bool, request: pytest.FixtureRequest
) -> None:
    """What the laptop shows is what the phone gets, so the demo would fail with another one."""
    if in_colour:
        out = without_colour(request.getfixturevalue("coloured"))
    else:
        ended = run("demo", "--plain")
        assert (ended.returncode, ended.stderr) == (0, b"")
        out = ended.stdout.decode()
    text = read_qr_code(out)
    code = LinkCode.from_text(text)
    assert code.app == "whatsapp"
    assert text not in out


def test_a_terminal_without_blocks_gets_the_code_as_text(plain: str) -> None:
    assert "no characters to draw it" in plain
    (code,) = re.findall(r"e2x1:[\w-]+\n[\w-]+", plain)
    assert LinkCode.from_text(code.replace("\n", "")).app == "whatsapp"


def test_it_begins_with_two_sentences_of_what_will_be_shown(plain: str, played: Played) -> None:
    about: str = played.facts["about"]
    assert len(re.findall(r"[.!?](?= |$)", about)) == 2
    assert " ".join(plain.split("\n\n")[0].split("\n", 2)[2].split()) == about


@pytest.mark.parametrize("output", ["plain", "coloured"])
def test_it_ends_with_a_screen_that_stands_alone(
    output: str, played: Played, request: pytest.FixtureRequest
) -> None:
    """On a terminal of 80 by 24, with a line for what the shell asks next."""
    lines = without_colour(request.getfixturevalue(output)).splitlines()
    (start,) = (at for at, line in enumerate(lines) if ". In short" in line)
    screen = lines[start:]
    assert len(screen) <= 23
    assert max(map(len, screen)) <= 80
    assert screen[-1].startswith("Done in ")
    found = "\n".join(screen)
    for wanted in (
        *("Ana (WhatsApp)", "Budi (Instagram)", "Toko Kopi (Messenger)", "Ana's laptop"),
        *("Budi's tablet", "photo", "group", "safety numbers", "back end"),
        *(
            "who wrote to whom",
            "none of the",
            "all 6 directions",
            "unchanged on both",
            "all messages have post-quantum keys",
        ),
        "The back end attacked 10 times, each time in vain",
    ):
        assert wanted in found
    was_left_out = played.facts["summary"]["sent_over_network"] is None  # there are no extras
    assert ("over HTTP" in found) is not was_left_out
    titles = [at for at, line in enumerate(screen) if "attacked" in line]
    attacks = screen[titles[0] + 1 : screen.index("", titles[0])]
    assert len(attacks) == played.facts["summary"]["attacks_tried"] - 1  # two are in one line
    for attack in attacks:
        did, _, ended = attack.strip().partition("  ")
        assert did
        assert re.search("(refused|ignored|found out)", ended)


def test_a_summary_of_what_went_wrong_does_not_say_all() -> None:
    summary = Summary(
        directions=6,
        directions_working=3,
        letters_sent=4,
        letters_read=3,
        copies_made=4,
        copies_read=3,
        group_letters=3,
        group_copies_made=4,
        group_copies_read=3,
        post_quantum=3,
        files_wanted=4,
        files_right=3,
        attacks_tried=4,
        attacks_refused=3,
        pairs=4,
        pairs_equal=3,
        texts_found=3,
        attacks=(Foiled("replay", people.ANA, "duplicate_message"),),
        linked=(people.LAPTOP,),
        photo_bytes=700_000,
        group_members=3,
        sent_over_network=None,
    )
    said = str([*summary.tell()])
    found = re.findall("3 of [0-9]+", said)
    assert found == ["3 of 6", *["3 of 4"] * 5, "3 of 8", "3 of 4"]
    assert "3 of 8 messages have post-quantum keys" in said
    assert "network" not in said
    assert "found 3 of the 7 texts" in said


def test_scenes_have_numbers(plain: str) -> None:
    found = re.findall(r"^([0-9]+)\. .+\n=+$", plain, re.MULTILINE)
    assert [int(number) for number in found] == [*range(1, len(SCENES) + 1)]


def test_what_the_relay_saw_stands_beside_it_without_text(plain: str, played: Played) -> None:
    left = "\n".join(line.split(" | ")[0] for line in plain.splitlines() if " | " in line)
    assert re.search(r"encrypted: ([0-9a-f]{2} ){8}\.\.\.", left)
    words = {w for one in played.facts["messages"] for w in re.findall("[A-Za-z]{6,}", one["text"])}
    assert not [word for word in words - {"Budi"} if word in left]


def test_coloured_text_needs_80_columns_of_latin_1_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("rich")
    terminal = {"PYTHONIOENCODING": "latin-1", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    ended = run("demo", environment={**terminal, "TMPDIR": str(tmp_path)})
    assert not list(tmp_path.iterdir())
    assert (ended.returncode, ended.stderr) == (0, b"")
    text = ended.stdout.decode("latin-1")
    assert "\x1b[" in text
    bare = without_colour(text)
    assert max(map(len, bare.splitlines())) <= 80
    assert "ok messages " in bare
    assert "très excité" in bare


def test_over_a_network_it_is_the_same(played: Played, tmp_path: Path) -> None:
    require_extras()
    ended = run("demo", "--json", "--network", "--dir", str(tmp_path / "new"))
    assert (ended.returncode, ended.stderr) == (0, b"")
    facts = json.loads(ended.stdout)
    assert facts["ok"] is True
    assert facts["network"]["throughout"] is True
    assert facts["summary"]["sent_over_network"] == len(facts["messages"])
    assert facts.keys() == played.facts.keys()
    assert len(facts["messages"]) == len(played.facts["messages"])
