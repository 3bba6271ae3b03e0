# SPDX-License-Identifier: Apache-2.0
"""The demo, as somebody would run it: its facts, its output, and what it leaves behind."""

import itertools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from e2ecross import Device, Envelope
from e2ecross.stores import SQLiteStore
from tests.cli.support import call, run

ANA, BUDI, TOKO = "whatsapp:ana.1", "instagram:budi.1", "messenger:toko-kopi.1"
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


def test_it_says_that_it_went_well_and_is_quick(played: Played) -> None:
    assert played.facts["ok"] is True
    assert played.facts["version"] == 1
    assert played.facts["seconds"] < 10
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


def test_no_plaintext_is_at_the_relay(played: Played) -> None:
    texts = [letter["text"] for letter in played.facts["messages"]]
    kept = [bytes.fromhex(letter["envelope"]) for letter in played.facts["messages"]]
    files = [file.read_bytes() for file in played.folder.glob("relay.db*")]
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


def test_the_summary_counts_what_the_scenes_show(played: Played) -> None:
    letters = len(played.facts["messages"])
    assert played.facts["summary"] == {
        "directions": 6,
        "directions_working": 6,
        "letters_sent": letters,
        "letters_read": letters,
        "post_quantum": letters,
        "attacks_tried": 5,
        "attacks_refused": 5,
        "pairs": 3,
        "pairs_equal": 3,
        "texts_found": 0,
    }


def test_dir_keeps_stores_relay_and_envelopes_for_inspect(played: Played) -> None:
    names = {file.name for file in played.folder.iterdir()}
    assert {"ana.db", "budi.db", "toko-kopi.db", "relay.db", "letter-01.envelope"} <= names
    assert not [name for name in names if name.endswith(("-wal", "-journal"))]
    ended = call("inspect", "--json", str(played.folder / "letter-01.envelope"))
    assert json.loads(ended.out) == played.letter(1)["view"]


def test_a_folder_with_a_demo_is_refused_and_unchanged(played: Played) -> None:
    before = {file: file.read_bytes() for file in played.folder.iterdir()}
    ended = call("demo", "--dir", str(played.folder))
    assert (ended.code, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 1
    assert "delete these files or name another folder" in ended.err
    assert {file: file.read_bytes() for file in played.folder.iterdir()} == before


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
        "THE RELAY SAW",
        "process",
        "prekey message",
        "signal message",
        "is handed 7, 5 and 6",
        "NO: Ana: AuthenticationFailed",
        "NO: Toko Kopi: EnvelopeMismatch",
        "NO: Ana: DuplicateMessage",
        "scan matches",
        "ok 6 of 6 directions",
        "ok 16 of 16 letters were read",
        "ok 5 of 5 attacks were refused",
        "ok 3 of 3 safety numbers",
        "ok 0 of 16 texts are known to the relay",
    ):
        assert wanted in " ".join(plain.split())
    flat = " ".join(re.sub(r"^.{41} \| ?", "", plain, flags=re.MULTILINE).split())
    for letter in played.facts["messages"]:
        assert letter["text"].replace("☕", "").replace("é", "?").replace("è", "?").strip() in flat


def test_what_the_relay_saw_stands_beside_it_without_text(plain: str, played: Played) -> None:
    left = "\n".join(line.split(" | ")[0] for line in plain.splitlines() if " | " in line)
    assert re.search(r"([0-9a-f]{2} ){12}\.\.\.", left)
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
    bare = re.sub("\x1b\\[[0-9;]*m", "", text)
    assert max(map(len, bare.splitlines())) <= 80
    assert "ok 6 of 6 directions between the three apps work" in bare
    assert "très excité" in bare
