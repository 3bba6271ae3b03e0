# SPDX-License-Identifier: Apache-2.0
"""What the files of this folder share."""

import pytest

from tests.attacks.support import Person


@pytest.fixture(params=[False, True], ids=["version 3", "version 4"])
def both_versions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For files whose promises are the same in both versions: sessions of either."""
    monkeypatch.setattr(Person, "hands_out_kyber", request.param)
