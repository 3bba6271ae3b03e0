# SPDX-License-Identifier: Apache-2.0
"""Hypothesis profiles; `E2ECROSS_HYPOTHESIS_PROFILE=deep` searches longer, with fresh seeds."""

import os

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
