"""Base addresses and the paths below them: nothing an adapter or a vendor says can lead to another host."""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

from syncd.model.errors import Problem, SettingsError, UnexpectedAnswer

PLACE = "base_url"


@dataclass(frozen=True, slots=True)
class BaseAddress:
    """Where a ticketing system is: scheme and host, and the path that all of its paths begin with."""

    origin: str
    host: str
    prefix: str

    def url(self, path: str) -> str:
        """Return the address of a path below this one; a query that stands behind the path is kept.

        Raises:
            UnexpectedAnswer: the path could lead elsewhere (a vendor's "next page" is where such a path comes from).
        """
        if leads_elsewhere(path):
            shown = "".join(char if char.isprintable() else "?" for char in bare_path(path)[:80])
            raise UnexpectedAnswer(f"refused the path {shown!r}: it leads outside {self.host}{self.prefix}")
        return f"{self.origin}{self.prefix}/{path.removeprefix('/')}"


def bare_path(path: str) -> str:
    """Return a path without its query: what messages show."""
    return path.partition("?")[0]


def leads_elsewhere(path: str) -> bool:
    """Tell whether a path is none, names a host, climbs with `..`, or hides what it is."""
    bare = bare_path(path)
    plain = unquote(bare)
    if any(ord(char) < 32 or ord(char) == 127 for char in path + plain) or "\\" in plain or "#" in path:
        return True
    return plain.startswith("//") or "://" in plain or any(part in {".", ".."} for part in plain.split("/"))


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: the only one that plain http is spoken with."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def parse_base_address(base_url: str) -> BaseAddress:
    """Return the parts of a `base_url`; a slash at its end makes no difference.

    Raises:
        SettingsError: not https (plain http on loopback excepted), or with user info, query or fragment. The message
            does not repeat the address: what does not belong there may be a secret.
    """
    try:
        parts = urlsplit(base_url)
        mistake = _mistake_in(base_url, parts)
        port = parts.port
    except ValueError:
        raise SettingsError([Problem(PLACE, "is no web address; write it as https://HOST")]) from None
    if mistake:
        raise SettingsError([Problem(PLACE, mistake)])
    host = (parts.hostname or "").lower()
    shown = f"[{host}]" if ":" in host else host
    return BaseAddress(
        origin=f"{parts.scheme}://{shown}" + (f":{port}" if port else ""), host=host, prefix=parts.path.rstrip("/")
    )


def host_in(location: str) -> str | None:
    """Return the host that a `Location` header names, or None if it names none."""
    try:
        return urlsplit(location).hostname
    except ValueError:
        return None


def _mistake_in(base_url: str, parts: SplitResult) -> str | None:
    host, path = (parts.hostname or "").lower(), parts.path.rstrip("/")
    blank = any(char.isspace() or ord(char) < 32 for char in base_url) or "\\" in base_url
    checks = (
        (blank, "has a blank or a backslash in it; write it as https://HOST"),
        (parts.scheme not in {"https", "http"} or not host, "is no web address; write it as https://HOST"),
        (
            parts.scheme == "http" and not is_loopback(host),
            "must begin with https://; plain http would show the credentials to the network",
        ),
        ("@" in parts.netloc, "has a user name or password in it; credentials have options of their own"),
        ("?" in base_url or "#" in base_url, "has a query or a fragment; leave out everything from ? or # on"),
        (bool(path) and leads_elsewhere(path), "has a path that cannot be used; write it without . and .."),
    )
    return next((mistake for wrong, mistake in checks if wrong), None)
