# SPDX-License-Identifier: Apache-2.0
"""Text of others between an app's own: content.md section 3."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.conversation.display import display_text
from e2ecross.errors import InvalidArgument

LRE, RLE, PDF, LRO, RLO = "\u202a", "\u202b", "\u202c", "\u202d", "\u202e"
LRI, RLI, FSI, PDI = "\u2066", "\u2067", "\u2068", "\u2069"
texts = st.text(
    st.sampled_from(f"ab \n\t\u2029\r\x00\x85{LRE}{RLE}{PDF}{LRO}{RLO}{LRI}{RLI}{FSI}{PDI}")
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("halo\n\tjuga 👋", "halo\n\tjuga 👋"),
        ("".join(map(chr, range(0x20))), "\t\n"),
        ("a\x7f\x80\x9f\xa0b", "a\xa0b"),
        ("a\r\nb", "a\nb"),
        *((mark + "a", mark + "a" + PDF) for mark in (LRE, RLE, LRO, RLO)),
        *((mark + "a", mark + "a" + PDI) for mark in (LRI, RLI, FSI)),
        (f"{RLO}a{PDF}b", f"{RLO}a{PDF}b"),
        (f"{RLI}a{PDI}b", f"{RLI}a{PDI}b"),
        (f"a{PDF}b{PDI}", "ab"),
        (f"{RLO}{RLI}a", f"{RLO}{RLI}a{PDI}{PDF}"),
        (f"{RLI}{RLO}a", f"{RLI}{RLO}a{PDF}{PDI}"),
        (f"{RLI}{RLO}a{PDI}b{PDF}", f"{RLI}{RLO}a{PDI}b"),
        (f"{RLO}{RLI}a{PDF}b", f"{RLO}{RLI}ab{PDI}{PDF}"),
        (f"{RLO}a{PDI}b", f"{RLO}ab{PDF}"),
        (f"{RLI}{LRI}a{PDI}b", f"{RLI}{LRI}a{PDI}b{PDI}"),
        (f"{RLO}a\nb{PDF}", f"{RLO}a{PDF}\nb"),
        (f"{RLI}a\u2029b", f"{RLI}a{PDI}\u2029b"),
        ("", ""),
    ],
)
def test_controls_go_and_marks_end_with_their_line(text: str, shown: str) -> None:
    assert display_text(text) == shown


@given(texts)
def test_what_is_shown_changes_nothing_around_it(text: str) -> None:
    shown = display_text(text)
    assert display_text(shown) == shown
    for line in shown.replace("\u2029", "\n").split("\n"):
        opened = [unicodedata.bidirectional(char) for char in line]
        assert sum(kind in ("LRI", "RLI", "FSI") for kind in opened) == opened.count("PDI")
    letters = [char for char in text if char in "ab \n\t\u2029"]
    assert [char for char in shown if char in "ab \n\t\u2029"] == letters


@given(texts, texts)
def test_a_line_is_made_apart_from_others(one: str, other: str) -> None:
    assert display_text(f"{one}\n{other}") == f"{display_text(one)}\n{display_text(other)}"


def test_only_text_is_shown() -> None:
    with pytest.raises(InvalidArgument, match=r"^text "):
        display_text(b"halo")  # type: ignore[arg-type]


def test_many_marks_cost_no_more_each_than_a_few() -> None:
    """If each end were looked for among all that is open, this would take minutes."""
    many = 200_000
    assert display_text(LRE * many + PDI * many) == LRE * many + PDF * many
    assert display_text(LRI * many + PDF * many) == LRI * many + PDI * many
