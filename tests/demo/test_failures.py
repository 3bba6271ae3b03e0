# SPDX-License-Identifier: Apache-2.0
"""What the demo does when something is not as it must be: exit code 1, and why."""

import functools
import json
import os
import sys
from pathlib import Path

import pytest

from e2ecross.cli.describe import describe
from e2ecross.demo import run, script
from e2ecross.demo.back_end import BackEnd, Flipped
from e2ecross.demo.director import Director, Search
from e2ecross.demo.facts import Letter
from e2ecross.demo.ghost import GhostDevice
from e2ecross.demo.people import ANA, BUDI, LAPTOP, TABLET, TOKO, DemoFailed, Person
from e2ecross.demo.scenes import messages
from e2ecross.demo.service import DemoService
from e2ecross.demo.stage import Stage
from e2ecross.relay import Relay
from tests.cli.support import Ended, call
from tests.support.service import require_extras

_PLAY_THE_APP = "raise SystemExit(actor.main(sys.argv[1:]))"
_OTHER_FILES = """import pathlib, shutil
def copy(app, *names): return shutil.copy(*(pathlib.Path(app.folder, name) for name in names))
def parts(app): return pathlib.Path(app.folder).glob("*.part-*")
def leak(app, text): return pathlib.Path(app.folder, "relay.db-leak").write_text(text)
def without(told, what): return {"items": [x for x in told["items"] if what not in str(x)]}
times = []
def again(): times.append(1); return len(times) > 1
"""
_IMPORTS = "import json, sqlite3, sys, time\nfrom e2ecross.demo import actor, directions\n"


def _fail(*arguments: str) -> Ended:
    """The demo must fail, in one line."""
    ended = call("demo", "--plain", *arguments)
    assert ended.code == 1
    assert ended.err.startswith("e2ecross demo: failed: ")
    assert len(ended.err.splitlines()) == 1
    return ended


def _play_with(monkeypatch: pytest.MonkeyPatch, program: str, answer_seconds: float = 20) -> None:
    """Let each app run this program."""
    actor = (sys.executable, "-c", _IMPORTS + program)
    stage = functools.partial(Stage, actor=actor, answer_seconds=answer_seconds)
    monkeypatch.setattr(run, "Stage", stage)


# --- Attacks that succeed, or do not take place ------------------------------------------------


def test_an_attack_that_is_not_refused_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def flip_nothing(self: BackEnd, letter: Letter) -> Flipped:
        return Flipped(letter.envelope, 0, 0, 0)

    monkeypatch.setattr(BackEnd, "flip_bit", flip_nothing)
    ended = _fail()
    assert "the attack 'flipped_bit' on message 9 was NOT refused by the app of Ana" in ended.err
    assert "In short" not in ended.out


def test_an_attack_that_is_refused_for_another_reason_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def break_it(self: BackEnd, letter: Letter) -> Flipped:
        return Flipped(letter.envelope[:-1], 0, 0, 0)

    monkeypatch.setattr(BackEnd, "flip_bit", break_it)
    assert "was refused with 'decode_error' instead of 'authentication_failed'" in _fail().err


def test_a_replay_that_does_not_arrive_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    put = BackEnd.put

    def put_no_money(self: BackEnd, person: Person, envelope: bytes) -> None:
        if person is not ANA or describe(envelope).sender != "messenger:toko-kopi.1":
            put(self, person, envelope)

    monkeypatch.setattr(BackEnd, "put", put_no_money)
    assert "Ana got 0 messages instead of one" in _fail().err


def test_mail_that_is_not_shuffled_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BackEnd, "reorder", lambda *_: None)
    assert "message 7 did not reach Budi as it was sent" in _fail().err


# --- Apps that misbehave -------------------------------------------------------------------------


def test_an_app_that_cannot_be_started_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = functools.partial(Stage, actor=["/there/is/no/such/program"])
    monkeypatch.setattr(run, "Stage", stage)
    assert "the app of Ana cannot be started" in _fail().err


def test_an_app_that_dies_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    _play_with(monkeypatch, "sys.exit('no battery')")
    assert "the app of Ana has ended with exit code 1: no battery" in _fail().err


def test_an_app_that_does_not_answer_in_time_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    _play_with(monkeypatch, "sys.stdin.read()", answer_seconds=0.3)
    assert "the app of Ana has not answered within 0.3 seconds" in _fail().err


def test_an_app_that_answers_nonsense_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    _play_with(monkeypatch, "print('hello', flush=True)\nsys.stdin.read()")
    assert "the app of Ana answered with something else than JSON" in _fail().err


def test_an_app_that_reads_something_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    lie = "item = directions._item\ndirections._item = lambda x: {**item(x), 'text': 'buy tea'}\n"
    _play_with(monkeypatch, lie + _PLAY_THE_APP)
    assert "message 1 did not reach Toko Kopi as it was sent" in _fail().err


def test_an_app_that_tells_the_relay_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    leak = (
        "send = directions._DIRECTIONS['send']\n"
        "def tell(client, direction):\n"
        "    relay = sqlite3.connect(sys.argv[3])\n"
        "    with relay:\n"
        "        relay.execute('CREATE TABLE leak AS SELECT ? AS t', ('..' + direction['text'],))\n"
        "    relay.close()\n"
        "    return send(client, direction)\n"
        "directions._DIRECTIONS['send'] = tell\n"
    )
    _play_with(monkeypatch, leak + _PLAY_THE_APP)
    assert "the relay's files hold text: ['Hi! Do you" in _fail().err


def test_different_safety_numbers_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = (
        "show = directions._DIRECTIONS['show_safety_number']\n"
        "directions._DIRECTIONS['show_safety_number'] = "
        "lambda c, d: {**show(c, d), 'digits': str(time.time_ns())}\n"
    )
    _play_with(monkeypatch, wrong + _PLAY_THE_APP)
    assert "Ana and Budi see different safety numbers" in _fail().err


def test_an_error_of_an_app_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    _play_with(
        monkeypatch,
        "from e2ecross.errors import MailboxFull\n"
        "def full(client, direction): raise MailboxFull('there is no room')\n"
        "directions._DIRECTIONS['send'] = full\n" + _PLAY_THE_APP,
    )
    error = _fail().err
    assert "the app of Ana could not send" in error
    assert "mailbox_full" in error


def test_an_app_that_ends_badly_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = "actor.main(sys.argv[1:])\nsys.exit(3)"
    stage = Stage(tmp_path, actor=(sys.executable, "-c", _IMPORTS + program))
    with stage:
        stage.enter([BUDI])
        with pytest.raises(DemoFailed, match="the app of Budi ended with exit code 3"):
            stage.leave(BUDI)
        with pytest.raises(DemoFailed, match="Budi has no process"):
            stage.ask(BUDI, "receive")


# --- Several devices -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "lie", "why"),
    [
        ("wait_for_phone", "{'user': 'whatsapp:eve'}", "asks to be linked to whatsapp:eve"),
        ("show_digits", "{**told, 'name': 'a toaster'}", "Ana is asked about 'a toaster'"),
        ("show_digits", "{**told, 'digits': ''}", "Ana is shown '' as digits"),
        ("show_digits", "app.pairing.confirm() or told", "before the user has confirmed"),
        ("finish_linking", "{**told, 'address': 'whatsapp:ana.9'}", "laptop has become"),
        ("finish_linking", "{**told, 'identity_key': ''}", "does not have Ana's laptop"),
        ("maintain", "app.client.receive() and {}", "Ana was told"),
        ("send", "{**told, 'devices': told['devices'][1:]}", "message 1 was encrypted for"),
    ],
)
def test_devices_that_are_not_linked_as_they_must_fail(
    monkeypatch: pytest.MonkeyPatch, direction: str, lie: str, why: str
) -> None:
    _lie(monkeypatch, direction, lie)
    _play_only(monkeypatch, "registration", "linking", "four_devices")
    assert why in _fail().err


def _play_only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    scenes = {name: script.SCENES[name] for name in names}
    monkeypatch.setattr(run, "SCENES", scenes)


def test_a_copy_that_does_not_arrive_as_it_was_written_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lie = "item = directions._item\ndirections._item = lambda x: {**item(x), 'own_copy': False}\n"
    _play_with(monkeypatch, lie + _PLAY_THE_APP)
    _play_only(monkeypatch, "registration", "linking", "four_devices")
    assert "the copy of message 1 did not reach Ana's laptop as it was sent" in _fail().err


def test_a_copy_that_is_not_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = BackEnd.waiting

    def hide(self: BackEnd, person: Person) -> list[bytes]:
        return [] if person is TABLET else waiting(self, person)

    monkeypatch.setattr(BackEnd, "waiting", hide)
    _play_only(monkeypatch, "registration", "linking", "four_devices")
    assert "message 1 did not arrive at the relay for Budi's tablet" in _fail().err


def test_an_app_that_believes_in_the_device_of_the_relay_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lie = "lambda app, direction: {'devices': ['instagram:budi.3']}"
    program = f"directions._DIRECTIONS['show_devices'] = {lie}\n"
    _play_with(monkeypatch, program + _PLAY_THE_APP)
    _play_only(monkeypatch, "registration", "linking", "four_devices", "ghost")
    assert "Ana's app believes in ('instagram:budi.3',)" in _fail().err


def test_a_relay_that_has_not_got_what_it_needs_fails(tmp_path: Path) -> None:
    Relay(tmp_path / "relay.db").close()
    back_end = BackEnd(tmp_path / "relay.db", tmp_path / "relay-files")
    with pytest.raises(DemoFailed, match="no list of the devices of instagram:budi"):
        back_end.signed_list(BUDI.user)
    with pytest.raises(DemoFailed, match=r"no keys of whatsapp:ana\.1"):
        GhostDevice(BUDI, 3).write(tmp_path / "relay.db", ANA, "hello?")


# --- What apps show, and a file ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "lie", "why"),
    [
        ("try_poll", "{}", "the app of Ana sent what it must not (to try_poll)"),
        ("try_poll", "{**told, 'refused': {'code': 'x'}}", "with 'x' instead of 'lossy_content'"),
        ("try_poll", "{**told, 'fallback': 'a poll'}", "Ana was told that 'a poll' would stand in"),
        ("try_poll", "{**told, 'lacking': [13]}", "Ana was told of (13,) for a poll"),
        ("try_poll", "directions._send(app, {**direction, 'text': '?'}) and told", "has left"),
        ("try_disappearing", "{**told, 'lacking': [32, 33]}", "Ana was told of (32, 33)"),
        ("send_poll", "directions._send_poll(app, direction)", "the poll has number 1"),
    ],
)
def test_a_loss_that_is_not_told_as_it_must_fails(
    monkeypatch: pytest.MonkeyPatch, direction: str, lie: str, why: str
) -> None:
    _lie(monkeypatch, direction, lie)
    _play_only(monkeypatch, "registration", "apps_differ")
    assert why in _fail().err


def _lie(monkeypatch: pytest.MonkeyPatch, direction: str, lie: str) -> None:
    """Let each app give another answer to a stage direction."""
    program = _OTHER_FILES + (
        f"answer = directions._DIRECTIONS[{direction!r}]\n"
        f"def other(app, direction):\n"
        f"    told = answer(app, direction)\n"
        f"    return {lie}\n"
        f"directions._DIRECTIONS[{direction!r}] = other\n"
    )
    _play_with(monkeypatch, program + _PLAY_THE_APP)


@pytest.mark.parametrize(
    ("direction", "lie", "why"),
    [
        ("begin_upload", "directions._DIRECTIONS['go_on_uploading'](app, {})", "not interrupted"),
        ("go_on_uploading", "{**told, 'complete': False}", "was not uploaded to the end"),
        ("go_on_uploading", "{**told, 'first': 1}", "the upload began anew, after 262144 bytes"),
        (
            "go_on_uploading",
            "copy(app, 'budi-photo.png', 'relay.db-leak') and told",
            "hold a piece",
        ),
        ("download", "{**told, 'complete': True}", "the download of the photo was not interrupted"),
        ("download", "{**told, 'first': 1}", "Ana fetched again what it had: 1 bytes first"),
        (
            "download",
            "told['complete'] and copy(app, 'ana.db', 'ana-photo.png') and told or told",
            "Ana got another photo than was sent",
        ),
        (
            "download",
            "told['complete'] or [copy(app, 'ana.db', part.name) for part in parts(app)] and told",
            "Ana was given bytes that are not of the photo",
        ),
    ],
)
def test_a_photo_that_does_not_come_as_it_must_fails(
    monkeypatch: pytest.MonkeyPatch, direction: str, lie: str, why: str
) -> None:
    _lie(monkeypatch, direction, lie)
    _play_only(monkeypatch, "registration", "linking", "four_devices", "photo")
    assert why in _fail().err


def test_a_relay_that_swaps_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BackEnd, "swap_chunks", lambda *_: None)
    _play_only(monkeypatch, "registration", "linking", "four_devices", "photo")
    assert "swapped chunks were NOT refused by the app of Ana's laptop" in _fail().err


def test_swapped_chunks_that_are_refused_for_another_reason_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lie = "{**told, 'refused': told['refused'] and {**told['refused'], 'code': 'x'}}"
    _lie(monkeypatch, "download", lie)
    _play_only(monkeypatch, "registration", "linking", "four_devices", "photo")
    assert "swapped chunks were refused with 'x' by the app of Ana's laptop" in _fail().err


def test_a_relay_with_other_files_than_it_counts_fails(tmp_path: Path) -> None:
    folder = tmp_path / "relay-files"
    Relay(tmp_path / "relay.db", blob_dir=folder).close()
    (folder / "stray").touch()
    with pytest.raises(DemoFailed, match=r"the relay keeps 0 files, by the names of \['stray'\]"):
        BackEnd(tmp_path / "relay.db", folder).blob()


# --- A group over three apps ---------------------------------------------------------------------

_TO_THE_GROUP = ("registration", "linking", "group")
_TO_ITS_ATTACKS = (*_TO_THE_GROUP, "group_attacks")


@pytest.mark.parametrize(
    ("direction", "lie", "why"),
    [
        ("create_group", "leak(app, direction['name']) and told", "hold the group's name or id"),
        ("create_group", "leak(app, told['group']) and told", "hold the group's name or id"),
        ("receive", "without(told, 'group_joined')", "Ana's laptop was told () of the group"),
        ("show_group", "{**told, 'members': []}", "Ana shows () as the group's members"),
        (
            "show_group",
            "{**told, 'members': [[user, 'owner'] for user, _ in told['members']]}",
            "as the group's members",
        ),
        ("send_into_group", "{**told, 'devices': told['devices'][1:]}", "into the group is for"),
        ("send_into_group", "{**told, 'message_id': '00' * 16}", "did not arrive at the relay"),
        (
            "receive",
            "{'items': [{**item, 'group': None} for item in told['items']]}",
            "Ana's laptop got [{'sender': 'whatsapp:ana.1'",
        ),
    ],
)
def test_a_group_that_is_not_as_it_must_be_fails(
    monkeypatch: pytest.MonkeyPatch, direction: str, lie: str, why: str
) -> None:
    _lie(monkeypatch, direction, lie)
    _play_only(monkeypatch, *_TO_THE_GROUP)
    assert why in _fail().err


def test_a_message_that_the_relay_keeps_twice_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    count_kept = BackEnd.count_kept

    def keep_twice(self: BackEnd, ciphertext: bytes) -> int:
        with self._open() as connection:
            kept = "INSERT INTO shared_ciphertexts (ciphertext) VALUES (?)"
            connection.execute(kept, (ciphertext,))
        return count_kept(self, ciphertext)

    monkeypatch.setattr(BackEnd, "count_kept", keep_twice)
    _play_only(monkeypatch, *_TO_THE_GROUP)
    assert "the relay keeps a message into the group 2 times" in _fail().err


def test_a_message_that_differs_between_devices_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = BackEnd.waiting

    def change(self: BackEnd, person: Person) -> list[bytes]:
        found = waiting(self, person)
        return [each[:-1] + b"?" for each in found] if person is TABLET else found

    monkeypatch.setattr(BackEnd, "waiting", change)
    _play_only(monkeypatch, *_TO_THE_GROUP)
    assert "message 1 into the group differs between devices" in _fail().err


@pytest.mark.parametrize(
    ("person", "direction", "lie", "why"),
    [
        (BUDI, "receive", "{'items': told['items'] or [{}]}", "of a change that nobody has signed"),
        (
            BUDI,
            "show_group",
            "{**told, 'members': [*told['members'], ['messenger:somebody', 'member']]}"
            " if again() else told",
            "Budi's app shows (",
        ),
        (TOKO, "receive", "without(told, 'group_out')", "the shop's app was told ()"),
        (LAPTOP, "receive", "without(told, 'group_removed')", "Ana's laptop was told ()"),
        (BUDI, "receive", "without(told, 'unknown_group_state')", "Budi got [], and no failure"),
        (
            BUDI,
            "receive",
            "json.loads(json.dumps(told).replace('unknown_group_state', 'other'))",
            "Budi could not read it because of other",
        ),
        (ANA, "receive", "{'items': told['items'] or [{}]}", "what another app asks of it"),
        (TABLET, "receive", "without(told, 'it turns ten')", "Budi's tablet got [] of message 6"),
        (TOKO, "receive", "{'items': told['items'] or [{}]}", "of a group that it left"),
    ],
)
def test_an_app_that_does_not_take_an_attack_on_a_group_as_it_must_fails(
    monkeypatch: pytest.MonkeyPatch, person: Person, direction: str, lie: str, why: str
) -> None:
    _lie(monkeypatch, direction, f"told if str(app.own) != '{person.address}' else {lie}")
    _play_only(monkeypatch, *_TO_ITS_ATTACKS)
    assert why in _fail().err


def test_a_message_that_the_relay_s_own_app_reads_or_does_not_get_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_at = BackEnd.put_at

    def put_less(self: BackEnd, address: str, envelope: bytes) -> None:
        put_at(self, address, envelope if address != "messenger:somebody.1" else envelope[:-1])

    def put_nothing(self: BackEnd, address: str, envelope: bytes) -> None:
        if address != "messenger:somebody.1":
            put_at(self, address, envelope)

    _play_only(monkeypatch, *_TO_ITS_ATTACKS)
    monkeypatch.setattr(BackEnd, "put_at", put_less)
    assert "the relay's own app got DecodeError with its copy" in _fail().err
    monkeypatch.setattr(BackEnd, "put_at", put_nothing)
    assert "the relay's own app has got [] of the group" in _fail().err


def test_another_sender_on_a_message_into_the_group_must_be_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BackEnd, "rewrite_sender", lambda _, envelope, person: envelope)
    _play_only(monkeypatch, *_TO_ITS_ATTACKS)
    assert "the attack 'badged' on message 5 was NOT refused by the app of Toko Kopi" in _fail().err


def test_a_removal_that_is_not_hidden_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BackEnd, "empty", lambda *_: 0)
    _play_only(monkeypatch, *_TO_ITS_ATTACKS)
    error = _fail().err
    assert "Budi got [{'notice': 'group_removed'" in error
    assert "and no failure" in error


def test_a_message_into_the_group_that_is_not_read_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Director, "check_read", lambda *_: None)
    assert "a message into the group was not read" in _fail().err


# --- Outputs -------------------------------------------------------------------------------------


def test_json_is_one_document_also_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def tired(director: Director) -> None:
        raise DemoFailed("the curtain is stuck")

    scenes = {"registration": messages.register, "first_contact": tired}
    monkeypatch.setattr(run, "SCENES", scenes)
    ended = call("demo", "--json")
    facts = json.loads(ended.out)
    assert ended.code == 1
    assert (facts["ok"], facts["error"]) == (False, "the curtain is stuck")
    assert facts["folder"] is None
    assert len(facts["registration"]["accounts"]) == 3
    assert ended.err == "e2ecross demo: failed: the curtain is stuck\n"


def test_an_error_of_the_system_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(director: Director) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "SCENES", {"registration": full})
    assert "No space left on device" in _fail().err


def test_a_search_finds_pieces_of_a_text() -> None:
    search = Search()
    text = "Letters travel sealed, and nobody reads them."
    haystack = b"whatsapp:ana.1 " + text[8:24].encode()
    assert search.look(haystack, [text, "nothing of this"], "whatsapp:ana.1") == [text]
    assert (search.texts_found, search.addresses_found, search.searches) == (1, 1, 1)
    assert search.look(b"nothing", [text], "whatsapp:ana.1") == []
    assert (search.texts_found, search.addresses_found, search.searches) == (1, 1, 2)


# --- Over a network -----------------------------------------------------------------------------


def test_without_the_extras_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "e2ecross.service.serving", None)
    assert run.run_demo(plain=True, network=True) == 1
    said = capsys.readouterr().err
    assert "server and http" in said  # both, also where one is found missing first
    assert "pip install 'e2ecross[demo]'" in said


def test_without_the_extras_its_scene_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "e2ecross.service.serving", None)
    _play_only(monkeypatch, "registration", "linking", "network")
    ended = call("demo", "--plain")
    assert (ended.code, ended.err) == (0, "")
    assert "3. Over a network: left out\n" in ended.out
    assert "pip install 'e2ecross[demo]'" in ended.out.split("left out", 1)[1]


def test_an_app_that_does_not_find_the_service_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    require_extras()
    elsewhere = "answer(app, {**direction, 'back_end': 'http://127.0.0.1:9'})"
    _lie(monkeypatch, "reconnect", elsewhere)
    _play_only(monkeypatch, "registration", "linking", "network")
    assert "the app of Ana could not send: " in _fail().err


def test_a_service_that_does_not_start_says_why(tmp_path: Path) -> None:
    require_extras()
    (tmp_path / "relay.db").write_text("no relay's")
    with pytest.raises(DemoFailed, match="the service does not start: e2ecross relay: "):
        DemoService(tmp_path / "relay.db", tmp_path / "files", dict(os.environ))
