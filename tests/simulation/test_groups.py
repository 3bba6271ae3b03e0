# SPDX-License-Identifier: Apache-2.0
"""Some simulated groups; `python -m tests.simulation.groups` takes as many as one likes."""

from collections import Counter

import pytest

from tests.simulation.groups import main, simulate


@pytest.mark.parametrize("part", range(4))
def test_simulated_groups(part: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(1_000 * part, 1_000 * part + 15):
        simulate(seed, counts)
    for what in ("commits", "forged from earlier places", "shown", "void in the end"):
        assert counts[what], f"{what}: none, so nothing was tested"


def test_the_command_tells_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--groups", "2", "--seed", "77"])
    assert "'groups': 2" in capsys.readouterr().out
