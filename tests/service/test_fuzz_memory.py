# SPDX-License-Identifier: Apache-2.0
"""The memory of the service does not grow with what it is sent, however often.

The corpus of the fuzzers goes to every path of a service in a process of its own, again and again.
Run with `-s` it tells how much memory the service has after each round; the deep profile sends all
of the corpus.
"""

import http.client
import os
import random
import sys
from pathlib import Path

import pytest

from tests.support.service import require_extras

require_extras()

from e2ecross.service import HTTPBackend
from e2ecross.wire.service_calls import CALLS, CONTENT_TYPE
from tests.relay.support import ANA, BUDI, register, token
from tests.service.child import RelayProcess
from tests.support.asgi import bearer
from tests.support.service_bodies import BODIES

CORPUS = Path(__file__).parents[1] / "corpus"
IS_DEEP = os.environ.get("E2ECROSS_HYPOTHESIS_PROFILE") == "deep"
REQUESTS = 200_000 if IS_DEEP else 12_000
ROUNDS = 6
MOST_GROWTH = 512 * 1024
"""Bytes, from the least that it had after the first round: it takes 100 KiB, and a leak of 100
bytes with each request takes more. What compiling the modules took goes back at any time."""
MOST = 100 * 1024 * 1024
MOST_BODY = 64 * 1024
UNLIMITED = [
    option
    for name in (
        *("requests_per_second", "requests_burst", "envelopes_per_second", "envelopes_burst"),
        *("failures_per_minute", "open_per_second", "open_burst"),
        *("register_per_second", "register_burst", "blob_reads_per_second", "blob_reads_burst"),
    )
    for option in ("--limit", f"{name}=1000000")
]


def requests() -> list[tuple[str, bytes]]:
    """What is sent in a round, in the same order each time."""
    most = None if IS_DEEP else 1
    files = [sorted(folder.iterdir())[:most] for folder in sorted(CORPUS.iterdir())]
    bodies = [file.read_bytes() for folder in files for file in folder]
    bodies += [example for _, example in BODIES.values()]
    found = [(name, body) for body in bodies for name in CALLS if len(body) <= MOST_BODY]
    random.Random(7).shuffle(found)
    return found[: REQUESTS // ROUNDS]


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of a process")
def test_the_corpus_again_and_again(tmp_path: Path) -> None:
    sent = requests()
    options = (*UNLIMITED, "--blob-dir", "files", "--log", "log")
    with RelayProcess(tmp_path, *options) as service:
        with HTTPBackend(service.url) as backend:
            register(backend, ANA, BUDI)
        connection = http.client.HTTPConnection(service.url.partition("//")[2], timeout=30)
        name, proof = bearer(token(ANA))
        headers = {"Content-Type": CONTENT_TYPE, name.decode(): proof.decode()}
        sizes: list[int] = []
        for _ in range(ROUNDS):
            for call, body in sent:
                connection.request("POST", f"/v1/{call}", body, headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status < 500
            sizes.append(resident_bytes(service.process.pid))
            print(f"{len(sent)} requests, {sizes[-1] / 2**20:.1f} MiB")
        connection.close()
        assert service.end() == 0
    assert sizes[-1] - min(sizes[1:]) < MOST_GROWTH
    assert max(sizes) < MOST
