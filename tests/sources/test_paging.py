"""Pages are turned to their end, and no further; where they lead is decided here."""

import pytest
from multidict import CIMultiDict

from syncd.model.errors import UnexpectedAnswer
from syncd.sources.paging import Pages, next_link, path_below


def test_a_page_that_was_read_is_no_next_page():
    """A token that comes again, at once or later, is an error and no endless read."""
    pages = Pages("/tickets")
    for token in ("a", "b"):
        pages.turn_to(token)
    with pytest.raises(UnexpectedAnswer, match="/tickets names a page that was read already"):
        pages.turn_to("a")


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ('<https://x.test/t?page=2>;rel="next"', "https://x.test/t?page=2"),
        ("<https://x.test/t?a=1,2>; rel=next", "https://x.test/t?a=1,2"),
        ('<https://x.test/1>; rel="first", <https://x.test/3>; title="a, b"; rel="last next"', "https://x.test/3"),
        ('<https://x.test/t?q=a>=1&o=2>;rel="next",<https://x.test/9>;rel="last"', "https://x.test/t?q=a>=1&o=2"),
        ('<https://x.test/1>; rel="prev"', None),
        ('<https://x.test/1>; rel="nextish"', None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_next_page_of_a_link_header(header, address):
    """The address whose relation is next is found, among others and in any spelling that the RFC allows."""
    assert next_link({"Link": header}) == address


def test_the_next_page_may_be_in_a_header_of_its_own():
    """Where an answer has several Link headers, such as one of a proxy, the next page is found in any of them."""
    links = [("Link", "</style.css>; rel=preload"), ("Link", '<https://x.test/t?page=2>; rel="next"')]
    assert next_link(CIMultiDict(links)) == "https://x.test/t?page=2"
    assert next_link(CIMultiDict()) is None


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("https://x.test/api/v2/tickets?page=2", "/tickets?page=2"),
        ("https://acme.x.test/api/v2/tickets?page=2", "/tickets?page=2"),
        ("http://10.0.0.1/other/tickets", "/other/tickets"),
        ("/api/v2/tickets?a=%2F", "/tickets?a=%2F"),
        ("/api/v2x/tickets", "/api/v2x/tickets"),
        ("https://x.test/api/v2", "/"),
    ],
)
def test_the_host_of_a_next_page_is_not_called(address, path):
    """Of the address that a vendor names, path and query count; the host stays the configured one."""
    assert path_below(address, "https://x.test/api/v2/") == path
