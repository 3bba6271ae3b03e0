# SPDX-License-Identifier: Apache-2.0
import copy
import pickle
from dataclasses import dataclass

import pytest

from e2ecross.crypto.secret import Secret

KEY = b"\xa5" * 32


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Holder(Secret):
    key: bytes


def test_secret_does_not_show_itself() -> None:
    holder = _Holder(KEY)
    for shown in (repr(holder), str(holder), f"{holder}", f"{holder!r}", f"{(holder,)}"):
        assert "<_Holder: secret>" in shown
        assert "a5" not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="_Holder holds secrets") as caught:
        pickle.dumps(_Holder(KEY), protocol)
    assert repr(KEY)[2:10] not in str(caught.value)


def test_secret_is_not_copied() -> None:
    with pytest.raises(TypeError, match="not pickled or copied"):
        copy.copy(_Holder(KEY))
    with pytest.raises(TypeError, match="not pickled or copied"):
        copy.deepcopy(_Holder(KEY))


def test_equality_is_identity() -> None:
    holder = _Holder(KEY)
    assert holder == holder
    assert holder != _Holder(KEY)


def test_secret_has_no_room_for_more() -> None:
    assert not hasattr(_Holder(KEY), "__dict__")
