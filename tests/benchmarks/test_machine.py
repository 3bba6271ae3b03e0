# SPDX-License-Identifier: Apache-2.0
"""What is said of the machine: how its Python was built, which costs 10 % of all figures."""

import sysconfig

import pytest

from benchmarks.machine import PYTHON, describe_machine, python_build, versions_of


@pytest.mark.parametrize(
    ("arguments", "flags", "told"),
    [
        ("'--enable-optimizations' '--with-lto'", "-O3", "with PGO, with LTO"),
        ("'--enable-optimizations' '--with-lto=no'", "-O3", "with PGO, no LTO"),
        ("'--enable-shared'", "-O3", "no PGO, no LTO"),
        ("", "-O3 -fprofile-use -flto=thin", "with PGO, with LTO"),
        (None, None, "PGO and LTO unknown"),
    ],
)
def test_the_build_is_told(
    arguments: str | None, flags: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = {"CONFIG_ARGS": arguments, "PY_CFLAGS": flags}
    monkeypatch.setattr(sysconfig, "get_config_var", configured.get)
    assert python_build().endswith(told)


def test_the_machine_and_a_peer_tell_the_same_of_it() -> None:
    assert describe_machine()[PYTHON] == versions_of((PYTHON,))[PYTHON] == python_build()
