"""Ticket links are data: parsed and held against the allowed hosts, never followed."""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from syncd.model.errors import InvalidTicketRef

LONGEST_LINK = 2048


def parse_ticket_link(link: str, base_url: str, link_hosts: Collection[str]) -> SplitResult:
    """Return the parts of a ticket link whose host is the one of `base_url` or one of `link_hosts`.

    Raises:
        InvalidTicketRef: not a web address, of another host or port, or with user info in it.
    """
    if len(link) > LONGEST_LINK or any(char.isspace() or ord(char) < 32 for char in link):
        raise InvalidTicketRef("the ticket link is no web address (too long, or with blanks in it)")
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
