# SPDX-License-Identifier: Apache-2.0
"""Hypothesis profiles; `E2ECROSS_HYPOTHESIS_PROFILE=deep` searches longer, with fresh seeds."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

# The suite: the same examples on every machine and in every run.
settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "deep",
    deadline=None,
    derandomize=False,
    max_examples=2000,
    stateful_step_count=80,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# Mutation testing runs thousands of suites: few examples, the same ones, and no search for a
# smaller one, since nobody reads it (pyproject.toml).
settings.register_profile(
    "brief",
    deadline=None,
    derandomize=True,
    max_examples=10,
    stateful_step_count=20,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("E2ECROSS_HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hold a mutant against the tests of its layer: one above is no excuse for a missing one."""
    mutant = os.environ.get("MUTANT_UNDER_TEST", "")
    if mutant.startswith("e2ecross.") and not mutant.startswith("e2ecross.client."):
        items[:] = [item for item in items if "tests/client/" not in item.nodeid]
