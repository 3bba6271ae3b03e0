# SPDX-License-Identifier: Apache-2.0
"""Changing one field of a protocol value, which the values themselves do not offer."""

from typing import TypeVar

from e2ecross.crypto.secret import SecretTuple

_T = TypeVar("_T", bound=SecretTuple)


def with_fields(value: _T, **changes: object) -> _T:
    """Return a copy of a named tuple of the protocol with other values in these fields."""
    fields: tuple[str, ...] = getattr(value, "_fields")  # noqa: B009 - not in the mixin's type
    unknown = changes.keys() - set(fields)
    assert not unknown, unknown
    return type(value)(*[changes.get(name, getattr(value, name)) for name in fields])
