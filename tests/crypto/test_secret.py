# SPDX-License-Identifier: Apache-2.0
import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from e2ecross.crypto.secret import Secret, SecretTuple

KEY = b"\xa5" * 32


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Holder(Secret):
    key: bytes


class _Fields(NamedTuple):
    key: bytes


class _Tuple(SecretTuple, _Fields):
    __slots__ = ()


both = pytest.mark.parametrize("make", [_Holder, _Tuple])
Make = Callable[[bytes], _Holder | _Tuple]


@both
def test_secret_does_not_show_itself(make: Make) -> None:
    holder = make(KEY)
    for shown in (repr(holder), str(holder), f"{holder}", f"{holder!r}", f"{[holder]}"):
        assert f"<{type(holder).__name__}: secret>" in shown
        assert "a5" not in shown


@both
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secret_is_not_pickled(protocol: int, make: Make) -> None:
    with pytest.raises(TypeError, match=r"_(Holder|Tuple) holds secrets") as caught:
        pickle.dumps(make(KEY), protocol)
    assert repr(KEY)[2:10] not in str(caught.value)


@both
def test_secret_is_not_copied(make: Make) -> None:
    with pytest.raises(TypeError, match="not pickled or copied"):
        copy.copy(make(KEY))
    with pytest.raises(TypeError, match="not pickled or copied"):
        copy.deepcopy(make(KEY))


@both
def test_equality_is_identity(make: Make) -> None:
    holder = make(KEY)
    assert holder == holder
    assert holder != make(KEY)
    assert len({holder, make(KEY)}) == 2


@both
def test_secret_has_no_room_for_more_and_does_not_change(make: Make) -> None:
    holder = make(KEY)
    assert not hasattr(holder, "__dict__")
    with pytest.raises(AttributeError):
        holder.key = b""  # type: ignore[misc]
    assert holder.key is KEY


def test_secret_tuple_is_not_walked_over() -> None:
    holder = _Tuple(KEY)
    for walk in (list, tuple, iter, lambda value: value[0], lambda value: value[:]):
        with pytest.raises(TypeError, match="read its fields by name"):
            walk(holder)
