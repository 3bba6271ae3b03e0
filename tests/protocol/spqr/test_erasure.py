# SPDX-License-Identifier: Apache-2.0
import random
from functools import reduce
from itertools import pairwise
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.protocol.spqr.erasure import (
    CHUNK_BYTES,
    CHUNK_COUNT,
    NO_CHUNKS,
    ReceivedChunks,
    encode_chunk,
    rebuild,
)
from e2ecross.protocol.spqr.gf65536 import ORDER, combine, logarithms, multiples
from tests.support.vectors import component, unhex

elements = st.integers(0, ORDER)


def _receive(chunks: dict[int, bytes]) -> ReceivedChunks:
    received = NO_CHUNKS
    for index, chunk in chunks.items():
        received = received.with_chunk(index, chunk)
    return received


# --- The field --------------------------------------------------------------------------------


def _product(left: int, right: int) -> int:
    return combine([multiples(left)], [right])


def _slow_product(left: int, right: int) -> int:
    product = 0
    for bit in range(16):
        if right >> bit & 1:
            product ^= left << bit
    for bit in range(31, 15, -1):
        if product >> bit & 1:
            product ^= 0x1100B << (bit - 16)
    return product


@pytest.mark.parametrize(("left", "right", "product"), component("gf_mul"))
def test_the_recorded_products(left: int, right: int, product: int) -> None:
    assert _product(left, right) == _product(right, left) == product


@given(elements, elements)
def test_products_are_those_of_polynomials(left: int, right: int) -> None:
    assert _product(left, right) == _slow_product(left, right)


def test_x_generates_every_element_but_0() -> None:
    log, power = logarithms()
    assert {power[log[element]] for element in range(1, ORDER + 1)} == {*range(1, ORDER + 1)}
    assert power[-1] == power[ORDER - 1]
    assert _product(power[-1], 2) == 1


@given(st.lists(st.tuples(st.binary(min_size=32, max_size=32), elements), min_size=1, max_size=40))
def test_a_combination_is_the_sum_of_products(terms: list[tuple[bytes, int]]) -> None:
    rows = [multiples(int.from_bytes(chunk, "big")) for chunk, _ in terms]
    combined = combine(rows, [weight for _, weight in terms]).to_bytes(32, "big")
    for i in range(0, 32, 2):
        products = [
            _slow_product(int.from_bytes(chunk[i : i + 2], "big"), weight)
            for chunk, weight in terms
        ]
        assert int.from_bytes(combined[i : i + 2], "big") == reduce(xor, products)


# --- Chunks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("item", component("erasure"), ids=lambda item: str(item["n"]))
def test_the_recorded_chunks(item: dict[str, dict[str, str]]) -> None:
    data = unhex(str(item["data"]))
    for index, chunk in item["chunks"].items():
        assert encode_chunk(data, int(index)).hex() == chunk


@pytest.mark.parametrize(
    ("index", "symbol"), [(0, 1), (1, 2), (2, 3), (3, 0), (4, 0x15), (100, 0x18F5), (65535, 0x4F7A)]
)
def test_a_worked_example(index: int, symbol: int) -> None:
    data = b"".join(value.to_bytes(2, "big") * 16 for value in (1, 2, 3))
    assert encode_chunk(data, index) == symbol.to_bytes(2, "big") * 16


@st.composite
def _chosen(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    count = draw(st.sampled_from([1, 2, 3, 5, 30, 36]))
    seed = draw(st.integers(0, 2**32))
    data = random.Random(seed).randbytes(CHUNK_BYTES * count)
    near = st.integers(0, 2 * count)
    indices = draw(
        st.lists(
            st.one_of(near, st.integers(0, CHUNK_COUNT - 1)),
            min_size=count,
            max_size=count,
            unique=True,
        )
    )
    return data, indices


@given(_chosen())
def test_any_n_different_chunks_rebuild_the_data(chosen: tuple[bytes, list[int]]) -> None:
    data, indices = chosen
    assert rebuild(_receive({i: encode_chunk(data, i) for i in indices})) == data


def test_all_data_chunks_missing() -> None:
    data = random.Random(1).randbytes(36 * CHUNK_BYTES)
    for start in (36, CHUNK_COUNT - 36):
        chunks = {i: encode_chunk(data, i) for i in range(start, start + 36)}
        assert rebuild(_receive(chunks)) == data


def test_data_chunks_in_any_order() -> None:
    data = random.Random(2).randbytes(30 * CHUNK_BYTES)
    order = random.Random(3).sample(range(30), 30)
    assert rebuild(_receive({i: encode_chunk(data, i) for i in order})) == data


def test_received_chunks_share_what_did_not_change() -> None:
    sets = [NO_CHUNKS]
    for index in range(20):
        sets.append(sets[-1].with_chunk(index, bytes((index,)) * 32))
    assert [len(received) for received in sets] == list(range(21))
    assert [len(bucket) for bucket in sets[20].buckets] == [8, 8, 4]
    for before, after in pairwise(sets):
        kept = [bucket for bucket in after.buckets if any(bucket is old for old in before.buckets)]
        assert len(kept) == len(after.buckets) - 1
    assert len(NO_CHUNKS) == 0


def test_the_first_chunk_of_an_index_counts() -> None:
    received = _receive({i: bytes(32) for i in range(9)})
    for index in range(9):
        assert received.with_chunk(index, b"\x01" * 32) is received
