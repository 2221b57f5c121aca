"""Base addresses: https, a host, a path; and paths that stay below them."""

import pytest

from syncd.model.errors import SettingsError, UnexpectedAnswer
from syncd.sources.address import is_loopback, leads_elsewhere, parse_base_address


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://acme.test", "https://acme.test/x?y=1"),
        ("https://ACME.test/", "https://acme.test/x?y=1"),
        ("https://acme.test:8443/rt/", "https://acme.test:8443/rt/x?y=1"),
        ("http://localhost:8080/a/b", "http://localhost:8080/a/b/x?y=1"),
        ("http://[::1]:8080", "http://[::1]:8080/x?y=1"),
    ],
)
def test_paths_are_appended(base_url, url):
    """A path goes behind the base address with one slash between, its query kept."""
    assert parse_base_address(base_url).url("x?y=1") == parse_base_address(base_url).url("/x?y=1") == url


@pytest.mark.parametrize(
    ("base_url", "mistake"),
    [
        ("http://acme.test", "https"),
        ("http://127.0.0.1.evil.test", "https"),
        ("https://me:hush@acme.test", "user name"),
        ("https://@acme.test", "user name"),
        ("https://acme.test/?key=hush", "query"),
        ("https://acme.test/#hush", "fragment"),
        ("https://acme.test/?", "query"),
        ("ftp://acme.test", "no web address"),
        ("acme.test", "no web address"),
        ("https://", "no web address"),
        ("", "no web address"),
        ("https://acme.test:port", "no web address"),
        ("https://[oops", "no web address"),
        ("https://acme.test /", "blank"),
        ("https://acme.test/\nhush", "blank"),
        ("https://acme.test\\@evil.test", "backslash"),
        ("https://acme.test/a/../b", "path"),
    ],
)
def test_mistakes_are_named_and_not_repeated(base_url, mistake):
    """Every mistake in a base address is named with its place; the address itself is not repeated."""
    with pytest.raises(SettingsError, match=mistake) as caught:
        parse_base_address(base_url)
    assert [problem.place for problem in caught.value.problems] == ["base_url"]
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback(host):
    """Plain http is for these."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["acme.test", "10.0.0.1", "localhost.evil.test", "0.0.0.0", ""])
def test_not_loopback(host):
    """And for no other."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "path", ["", "/", "tickets", "/a/b.json?next=https://x/../y", "a%20b", "tickets:search", "a..b"]
)
def test_honest_paths_stay(path):
    """Paths with queries, escapes, colons and dots inside names are fine."""
    assert not leads_elsewhere(path)


def test_a_refused_path_is_shown_without_its_query():
    """The message shows the path, cut and printable, and never the query."""
    with pytest.raises(UnexpectedAnswer) as caught:
        parse_base_address("https://acme.test/rt").url("//evil.test/" + "x" * 500 + "?key=hush")
    assert "'//evil.test/xxx" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert len(str(caught.value)) < 200
