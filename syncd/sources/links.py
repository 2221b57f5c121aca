"""Ticket links are data: parsed and held against the allowed hosts, never followed."""

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from syncd.model.errors import InvalidTicketRef
from syncd.model.ticket import TicketRef

LONGEST_LINK = 2048


def parse_ticket_link(link: str, base_url: str, link_hosts: Collection[str]) -> SplitResult:
    """Return the parts of a ticket link whose host is the one of `base_url` or one of `link_hosts`.

    Raises:
        InvalidTicketRef: not a web address, of another host or port, or with user info in it.
    """
    if len(link) > LONGEST_LINK or any(char.isspace() or not char.isprintable() for char in link):
        raise InvalidTicketRef("the ticket link is no web address (too long, or with blanks or controls in it)")
    try:
        parts, base = urlsplit(link), urlsplit(base_url)
        port, base_port = parts.port, base.port
    except ValueError:
        raise InvalidTicketRef("the ticket link is no web address") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise InvalidTicketRef("the ticket link is no web address: it must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise InvalidTicketRef("the ticket link has a user name or password in it; links with credentials are refused")
    host = parts.hostname.lower()
    own = host == (base.hostname or "").lower() and port in {base_port, None}
    if not own and host not in {name.lower() for name in link_hosts} and parts.netloc.lower() not in link_hosts:
        raise InvalidTicketRef(
            f"the ticket link points to {host}, but this system is {base.hostname}; "
            "if both are the same system, add the host to link_hosts"
        )
    return parts


def match_ticket_ref(
    ref: TicketRef,
    *,
    number: re.Pattern[str],
    link: re.Pattern[str],
    base_url: str,
    link_hosts: Collection[str],
    hint: str,
) -> re.Match[str]:
    """Return the match of a ticket's number as a whole, or of a place in its link (`path?query#fragment`).

    `hint` is what a person reads who wrote something else: how this system's tickets are named.

    Raises:
        InvalidTicketRef: neither fits, or the link is of another host; nothing was asked of anybody.
    """
    if ref.link is None:
        match = number.fullmatch((ref.number or "").strip())
    else:
        parts = parse_ticket_link(ref.link, base_url, link_hosts)
        match = link.search(parts._replace(scheme="", netloc="").geturl())
    if match is None:
        raise InvalidTicketRef(hint)
    return match
