# SPDX-License-Identifier: Apache-2.0
"""How many examples a test draws: so many in the suite, more in the profile `deep`."""

from typing import Final

from hypothesis import settings

__all__ = ["deepened"]

_OF_THE_SUITE: Final = 60  # examples of a test that says nothing


def deepened(examples: int) -> int:
    """Return how many of this profile are as many as these of the suite."""
    return max(1, examples * settings().max_examples // _OF_THE_SUITE)
