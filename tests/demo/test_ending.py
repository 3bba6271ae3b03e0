# SPDX-License-Identifier: Apache-2.0
"""A demo that is ended from outside leaves no file and no process."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from e2ecross.demo import service
from e2ecross.demo.ending import ending_signals
from tests.support.documents import ROOT


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_leaves_nothing_behind(tmp_path: Path, how: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "e2ecross", "demo", "--plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )
    give_up = time.monotonic() + 120
    while not any(path.name == "ana.db" for path in tmp_path.glob("*/*")):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    process.send_signal(how)
    _, err = process.communicate(timeout=120)  # it ends when no app holds its stderr any more
    assert (process.returncode, err) == (130, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_terminal_ends_nothing_that_was_told_to_outlive_it() -> None:
    assert signal.SIGHUP in ending_signals()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in ending_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_while_the_service_starts_ends_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "process"
    program = "import os, pathlib, sys, time; pathlib.Path(sys.argv[-1]).write_text("
    program += "str(os.getpid())); time.sleep(600)"
    monkeypatch.setattr(service, "_COMMAND", (sys.executable, "-c", program))
    monkeypatch.setattr(service, "_LIMITS", (str(started),))

    def press() -> None:
        while not (started.exists() and started.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    typist = threading.Thread(target=press, daemon=True)
    typist.start()
    with pytest.raises(KeyboardInterrupt):
        service.DemoService(tmp_path / "relay.db", tmp_path / "files", dict(os.environ))
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    typist.join()
    timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    assert not [timer for timer in timers if not timer.finished.is_set()]
