# SPDX-License-Identifier: Apache-2.0
"""`e2ecross demo`: plays the script (`demo`) in a folder, and shows it.

Rules:
- Exit code 0 only when the last scene has been shown; any failure is one line on stderr and 1.
- `rich` is imported when it is needed, and may be missing.
- A folder that holds a demo already is left alone.
- A signal that ends it leaves nothing behind.
"""

import contextlib
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from e2ecross.demo.back_end import BackEnd
from e2ecross.demo.director import Director
from e2ecross.demo.ending import ended_like_interrupted
from e2ecross.demo.json_output import JsonOutput
from e2ecross.demo.output import Output, PlainOutput, TextOutput
from e2ecross.demo.people import COMPANIONS, PEOPLE, DemoFailed
from e2ecross.demo.script import ABOUT, SCENES, TITLE
from e2ecross.demo.service import require_service
from e2ecross.demo.stage import BLOB_FOLDER, RELAY_FILE, Stage
from e2ecross.demo.step import Step
from e2ecross.errors import E2ECrossError

__all__ = ["choose_output", "choose_painter", "run_demo"]


def run_demo(
    *,
    folder: str | None = None,
    plain: bool = False,
    json: bool = False,
    network: bool = False,
    step: bool = False,
) -> int:
    """Play the demo and show it on stdout.

    Args:
        folder: keep the files there; by default they are gone afterwards.
        plain: no colour, even if `rich` is installed.
        json: one JSON document instead of text.
        network: over a service, in a process of its own, in the place of a file.
        step: wait for a key before each scene; stdin must be a terminal.

    Returns:
        The exit code: 0 when everything happened as it must, else 1; stderr then tells why.
    """
    output = choose_output(plain=plain, json=json)
    steps, started = Step(step), time.monotonic()
    try:
        if network:
            require_service()
        with (
            ended_like_interrupted(),
            _folder(folder) as place,
            Stage(place, network=network) as stage,
        ):
            _play(stage, output, steps, kept=folder is not None)
    except DemoFailed as error:
        why = str(error)
    except (E2ECrossError, OSError, sqlite3.Error) as error:
        if isinstance(error, BrokenPipeError):  # whoever read our output has left
            raise
        why = f"{type(error).__name__}: {error}"
    else:
        output.finish(time.monotonic() - started - steps.waited)
        return 0
    output.fail(why, time.monotonic() - started - steps.waited)
    sys.stdout.flush()
    print(f"e2ecross demo: failed: {why}", file=sys.stderr)
    return 1


def choose_output(*, plain: bool, json: bool) -> Output:
    """Return what shows the demo on stdout: in colour if `rich` is there and is wanted."""
    if json:
        return JsonOutput()
    return choose_painter(plain=plain)


def choose_painter(*, plain: bool) -> TextOutput:
    """Return what shows text on stdout: in colour if `rich` is there and is wanted."""
    if not plain:
        try:
            from e2ecross.demo.rich_output import RichOutput
        except ImportError:
            pass
        else:
            return RichOutput()
    return PlainOutput()


def _play(stage: Stage, output: Output, steps: Step, *, kept: bool) -> None:
    director = Director(stage, BackEnd(stage.relay_file, stage.blob_folder))
    output.begin(TITLE, ABOUT, stage.folder if kept else None, director)
    for number, (name, scene) in enumerate(SCENES.items(), 1):
        steps.wait(f"scene {number} of {len(SCENES)}")
        output.show(name, scene(director))
    stage.leave_all()
    if kept:
        for letter in director.letters:
            (stage.folder / _envelope_file(letter.number)).write_bytes(letter.envelope)


def _envelope_file(number: int | str) -> str:
    """Name the file of an envelope, for `e2ecross inspect`."""
    return f"message-{number:0>2}.envelope"


@contextlib.contextmanager
def _folder(name: str | None) -> Iterator[Path]:
    if name is None:
        with tempfile.TemporaryDirectory(prefix="e2ecross-demo-") as temporary:
            yield Path(temporary)
        return
    folder = Path(name).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DemoFailed(f"{name} is not a folder: name another one") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise DemoFailed(f"the folder {name} cannot be made: {why}: name another one") from error
    except ValueError:  # a null character
        raise DemoFailed("--dir must name a folder") from None
    everybody = (*PEOPLE, *COMPANIONS)
    files = [file for person in everybody for file in (person.file, person.photo)]
    files += [RELAY_FILE, BLOB_FOLDER]
    there = [file for file in files if (folder / file).exists()]
    there += sorted(file.name for file in folder.glob("message-*.envelope"))[:1]
    if there:
        raise DemoFailed(
            f"{name} already holds a demo ({', '.join(there)}), which would not play twice: "
            f"delete these files or name another folder"
        )
    yield folder
