# SPDX-License-Identifier: Apache-2.0
"""Which addresses of back ends are taken, and which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import InvalidArgument
from e2ecross.service.urls import Url, parse_url


@pytest.mark.parametrize(
    ("url", "parsed", "place"),
    [
        ("https://a.example", Url("https", "a.example", 443, ""), "a.example:443"),
        ("https://a.example/", Url("https", "a.example", 443, ""), "a.example:443"),
        ("https://A.example:8443/x/y/", Url("https", "a.example", 8443, "/x/y"), "a.example:8443"),
        ("https://[2001:db8::1]:1", Url("https", "2001:db8::1", 1, ""), "[2001:db8::1]:1"),
        ("http://localhost:8080", Url("http", "localhost", 8080, ""), "localhost:8080"),
        ("http://127.1.2.3", Url("http", "127.1.2.3", 80, ""), "127.1.2.3:80"),
        ("http://[::1]:8080", Url("http", "::1", 8080, ""), "[::1]:8080"),
    ],
)
def test_taken(url: str, parsed: Url, place: str) -> None:
    assert parse_url(url) == parsed
    assert parsed.place == place


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "http://10.0.0.1",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "https://user@a.example",
        "https://user:password@a.example",
        "https://@a.example",
        "https://a.example?query",
        "https://a.example?",
        "https://a.example#fragment",
        "https://a.example#",
        "https://a.example:0",
        "https://a.example:65536",
        "https://a.example:x",
        "https://a.example\\b",
        "https://a.ex ample",
        "https://a.example/\r\nX: y",
        "https://ä.example",
        "https://",
        "https:///path",
        "https://a..example",
        f"https://{'a' * 64}.example",
        "https://[::1",
        "ftp://a.example",
        "a.example",
        "//a.example",
        "",
        b"https://a.example",
        None,
    ],
)
def test_refused(url: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_url(url)
    assert "password" not in str(caught.value)


@given(st.text(max_size=40) | st.builds("https://{}".format, st.text(max_size=40)))
def test_anything_is_taken_or_refused(url: str) -> None:
    try:
        parse_url(url)
    except InvalidArgument:
        return
