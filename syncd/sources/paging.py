"""Turning pages with suspicion: the next address is data, and a next page that was read before is a loop."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from syncd.model.errors import UnexpectedAnswer

_LINK = re.compile(r"<([^<]*?)>(?=\s*(?:[;,]|$))([^<]*)")  # some vendors leave a bare > in the address
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


class Pages:
    """The pages of one list that were turned so far; `where` names the list in messages."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._seen: set[str] = set()

    def turn_to(self, token: str | int) -> None:
        """Note the token (or address, or number) of the page that is about to be read.

        Raises:
            UnexpectedAnswer: that page was read before, so that the list would never end.
        """
        if str(token) in self._seen:
            raise UnexpectedAnswer(f"{self._where} names a page that was read already as its next one")
        self._seen.add(str(token))


def next_link(headers: Mapping[str, str]) -> str | None:
    """Return the address that a `Link` header calls the next page (RFC 8288), or None on the last one."""
    getall = getattr(headers, "getall", None)  # there may be several headers of the name, such as one of a proxy
    lines = getall("Link", ()) if getall is not None else [headers.get("Link", "")]
    for address, attributes in _LINK.findall(", ".join(lines)):
        relations = {(quoted or bare).lower() for quoted, bare in _RELATION.findall(attributes)}
        if any("next" in relation.split() for relation in relations):
            return str(address)
    return None


def path_below(address: str, base_url: str) -> str:
    """Return path and query of an address that a vendor named, below the path of `base_url`.

    Its host is left out: what is called is always the configured one. Behind a proxy the vendor may not know its name.

    Raises:
        UnexpectedAnswer: no web address.
    """
    try:
        parts, base = urlsplit(address), urlsplit(base_url)
    except ValueError:
        raise UnexpectedAnswer("the address of a next page is no web address") from None
    prefix = base.path.rstrip("/")
    path = parts.path
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        path = path[len(prefix) :]
    return f"{path or '/'}?{parts.query}" if parts.query else path or "/"
