# SPDX-License-Identifier: Apache-2.0
"""The corpus, replayed through the functions that `atheris` runs; and that none is missing.

A target raises nothing but what is a finding, so that to run it is the test.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import wire
from tests.fuzz import run as runner
from tests.fuzz.target import ACCEPTED, Source
from tests.fuzz.targets import CORPUS, TARGETS

_MOST_BYTES = 1_000_000
_MOST_FILES = 2_400


@cache
def _seeds(name: str) -> Sequence[bytes]:
    return TARGETS[name].seeds()


@cache
def _outcomes(name: str) -> frozenset[str]:
    """What comes of the seeds and of the corpus."""
    target = TARGETS[name]
    kept = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    return frozenset(target.run(data) for data in (*_seeds(name), *kept))


@pytest.mark.parametrize("name", list(TARGETS))
def test_the_corpus_finds_nothing(name: str) -> None:
    parts = {part for came in _outcomes(name) for part in came.split(",")}
    assert ACCEPTED in parts, "no input gets through: the target tests nothing"
    assert len(parts) > 1, "no input is refused: the target tests nothing"


@pytest.mark.parametrize("name", list(TARGETS))
@given(data=st.data())
def test_any_bytes_find_nothing(name: str, data: st.DataObject) -> None:
    """What a search does, for a moment, where `atheris` is not installed."""
    seed = data.draw(st.sampled_from(_seeds(name)) | st.binary(max_size=200))
    at = data.draw(st.integers(0, len(seed)))
    patch = data.draw(st.binary(max_size=8))
    over = data.draw(st.integers(0, 8))
    TARGETS[name].run(seed[:at] + patch + seed[at + over :])


def test_the_corpus_is_small_and_each_folder_has_its_target() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(TARGETS)
    assert len(files) <= _MOST_FILES
    assert sum(path.stat().st_size for path in files) <= _MOST_BYTES
    contents = [(path.parent, path.read_bytes()) for path in files]
    assert len(set(contents)) == len(contents), "the same twice"


def _decoders() -> dict[CodeType, str]:
    """Every public function of `e2ecross.wire` and every class of it that reads bytes."""
    found = {}
    for info in pkgutil.iter_modules(wire.__path__, f"{wire.__name__}."):
        if info.ispkg:
            continue
        module = importlib.import_module(info.name)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isclass(value):
                value = vars(value).get("decode")
            elif not name.startswith(("decode", "unpad")):
                continue
            function = getattr(value, "__func__", value)
            if inspect.isfunction(function):
                found[function.__code__] = f"{info.name}.{name}"
    return found


def test_every_decoder_has_a_target() -> None:
    missing = _decoders()
    assert len(missing) > 15

    def note(frame: FrameType, event: str, argument: object) -> None:
        missing.pop(frame.f_code, None)

    for target in TARGETS.values():
        seeds = target.seeds()
        sys.setprofile(note)
        try:
            target.run(seeds[0])
        finally:
            sys.setprofile(None)
    assert not missing.values(), "add a format to tests/support/formats.py, or a line to _OTHERS"


# --- What is known ----------------------------------------------------------------------------


# --- The tools --------------------------------------------------------------------------------


def test_a_finding_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of target: an error of another tree comes out, and so does a changed store."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError("a finding")

    for where, name, error in (
        ("e2ecross.wire.signal_message.decode_public_key", "signal-message", KeyError),
        ("e2ecross.wire.envelope.decode_address", "decrypt", KeyError),
        ("e2ecross.device.reading.read_current_session", "forged-payload", KeyError),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(where, fail)
            with pytest.raises(error):
                TARGETS[name].run(TARGETS[name].seeds()[0])


def test_a_source_ends_with_zeros() -> None:
    source = Source(b"\x07\x01\x02\x03")
    assert (source.below(4), source.number(2), source.left) == (3, 258, 1)
    assert (source.rest(), source.left, source.number(4), source.take(3)) == (b"\3", 0, 0, b"")


def test_what_is_kept_reaches_all_that_was_collected() -> None:
    target = TARGETS["public-key"]
    collected = target.seeds()
    kept = runner.smallest(target.run, collected)
    assert set(kept) < set(collected)
    assert _reached(target.run, kept) == _reached(target.run, collected)
    assert _reached(target.run, kept[1:]) < _reached(target.run, collected)


def test_what_was_a_finding_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its way through the mended code may be that of another input."""
    folder = tmp_path / "public-key"
    folder.mkdir()
    for name in ("found-0", "0"):
        folder.joinpath(name).write_bytes(TARGETS["public-key"].seeds()[0])
    monkeypatch.setattr("tests.fuzz.targets.CORPUS", tmp_path)
    runner._keep("public-key")
    names = {path.name for path in folder.iterdir()}
    assert "found-0" in names
    assert "0" not in names


def _reached(run: Callable[[bytes], str], inputs: Sequence[bytes]) -> set[object]:
    return {step for data in inputs for step in runner.reaches(run, data)}
