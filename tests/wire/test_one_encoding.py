# SPDX-License-Identifier: Apache-2.0
"""Every format of our own has exactly one encoding, and its decoder never fails otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.formats import FORMATS, RECORDS, Format
from tests.support.protobuf import Field, fields, message, split, varint

names = pytest.mark.parametrize("name", [*FORMATS])
UNKNOWN: tuple[Field, ...] = ((999, 1), (1000, b"unknown"))


def _refuses(form: Format, data: bytes) -> None:
    with pytest.raises(form.error):
        form.reencode(data)


def _body(form: Format) -> bytes:
    return form.example[form.start :]


def _with(form: Format, body: bytes) -> bytes:
    return form.example[: form.start] + body


def _inside(body: bytes, path: tuple[int, ...], extra: Field) -> bytes:
    """Append a field to the (first) message at that path."""
    items = fields(body)
    if not path:
        return message([*items, extra])
    at = next(i for i, (number, _) in enumerate(items) if number == path[0])
    inner = items[at][1]
    assert isinstance(inner, bytes)
    items[at] = (path[0], _inside(inner, path[1:], extra))
    return message(items)


@names
def test_encoding_is_read_and_written_again(name: str) -> None:
    form = FORMATS[name]
    assert form.reencode(form.example) == form.example
    assert message(fields(_body(form))) == _body(form)


@names
def test_truncated_bytes_are_refused_or_another_value(name: str) -> None:
    form = FORMATS[name]
    for length in range(len(form.example)):
        _only_encoding_or_error(form, form.example[:length])


@names
@pytest.mark.parametrize("unknown", UNKNOWN, ids=["number", "bytes"])
def test_unknown_fields_are_refused_at_every_depth(name: str, unknown: Field) -> None:
    form = FORMATS[name]
    for path in ((), *form.nested):
        _refuses(form, _with(form, _inside(_body(form), path, unknown)))


@names
@pytest.mark.parametrize("tail", [b"\0", b"\x08", b"\xff", b"\x80\x00"])
def test_appended_bytes_are_refused(name: str, tail: bytes) -> None:
    form = FORMATS[name]
    _refuses(form, form.example + tail)


@names
def test_reordered_fields_are_refused(name: str) -> None:
    form = FORMATS[name]
    items = fields(_body(form))
    reordered = message(items[::-1])
    if reordered != _body(form):
        _refuses(form, _with(form, reordered))
    for path in form.nested:
        _refuses_change_inside(form, path, reverse=True)


def _refuses_change_inside(form: Format, path: tuple[int, ...], *, reverse: bool) -> None:
    def change(body: bytes, rest: tuple[int, ...]) -> bytes:
        items = fields(body)
        if not rest:
            return message(items[::-1] if reverse else [*items, items[-1]])
        at = next(i for i, (number, _) in enumerate(items) if number == rest[0])
        inner = items[at][1]
        assert isinstance(inner, bytes)
        items[at] = (rest[0], change(inner, rest[1:]))
        return message(items)

    changed = change(_body(form), path)
    if changed != _body(form):
        _refuses(form, _with(form, changed))


_REPEATED = {("publication", 6), ("session list", 2), ("session", 12)}
_REPEATED |= {("push of device lists", 1), ("pins", 1), ("history", 1), ("read marks", 1)}
_REPEATED |= {("receipt", 2), ("timeline", 3), ("conversation states", 1)}
_REPEATED |= {("group commit", 6), ("group commits", 2), ("group", 8)}
_REPEATED |= {("message that was sent into a group", 9)}


@names
def test_repeated_fields_are_refused(name: str) -> None:
    form = FORMATS[name]
    for item, encoded in split(_body(form)):
        if (name, item[0]) not in _REPEATED:
            _refuses(form, _with(form, _body(form) + encoded))
    for path in form.nested:
        _refuses_change_inside(form, path, reverse=False)


@names
def test_numbers_in_too_many_bytes_are_refused(name: str) -> None:
    form = FORMATS[name]
    parts = list(split(_body(form)))
    for i, ((number, value), _) in enumerate(parts):
        if isinstance(value, int):
            longer = varint(number << 3) + varint(value, padding=1)
        else:
            longer = varint(number << 3 | 2) + varint(len(value), padding=1) + value
        body = b"".join(longer if j == i else encoded for j, (_, encoded) in enumerate(parts))
        _refuses(form, _with(form, body))


@names
def test_numbers_above_their_range_are_refused_not_cut(name: str) -> None:
    form = FORMATS[name]
    items = fields(_body(form))
    for i, (number, value) in enumerate(items):
        if isinstance(value, int):
            wide = [*items[:i], (number, value + 2**32), *items[i + 1 :]]
            _only_encoding_or_error(form, _with(form, message(wide)))


def _only_encoding_or_error(form: Format, data: bytes) -> None:
    """The property of every decoder: its branch of errors, or a value of just this encoding."""
    try:
        again = form.reencode(data)
    except form.error:
        return
    assert again == data


@names
def test_every_flipped_bit_is_refused_or_another_value(name: str) -> None:
    form = FORMATS[name]
    for bit in range(8 * len(form.example)):
        flipped = bytearray(form.example)
        flipped[bit // 8] ^= 1 << bit % 8
        _only_encoding_or_error(form, bytes(flipped))


@names
def test_every_dropped_field_is_refused_or_another_value(name: str) -> None:
    form = FORMATS[name]
    items = fields(_body(form))
    for i in range(len(items)):
        _only_encoding_or_error(form, _with(form, message(items[:i] + items[i + 1 :])))
    _only_encoding_or_error(form, _with(form, b""))


@names
def test_every_emptied_field_is_refused_or_another_value(name: str) -> None:
    form = FORMATS[name]
    items = fields(_body(form))
    for i, (number, value) in enumerate(items):
        empty: Field = (number, 0 if isinstance(value, int) else b"")
        body = message([*items[:i], empty, *items[i + 1 :]])
        _only_encoding_or_error(form, _with(form, body))


@names
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_a_value_or_an_error_of_the_right_branch(
    name: str, data: bytes
) -> None:
    form = FORMATS[name]
    _only_encoding_or_error(form, data)
    _only_encoding_or_error(form, _with(form, data))


@names
@given(
    items=st.lists(
        st.tuples(st.integers(1, 14), st.integers(0, 2**64 - 1) | st.binary(max_size=70)),
        max_size=8,
    )
)
def test_arbitrary_fields_are_a_value_or_an_error_of_the_right_branch(
    name: str, items: list[Field]
) -> None:
    form = FORMATS[name]
    _only_encoding_or_error(form, _with(form, message(items)))
    replacements = dict(items)
    mixed = [(number, replacements.get(number, value)) for number, value in fields(_body(form))]
    _only_encoding_or_error(form, _with(form, message(mixed)))


@pytest.mark.parametrize("name", [*RECORDS])
def test_record_of_any_other_version_is_refused(name: str) -> None:
    form = RECORDS[name]
    for version in range(256):
        if version != 1:
            _refuses(form, bytes((version,)) + _body(form))
