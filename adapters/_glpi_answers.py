"""What an answer of GLPI says beside its rows: errors, times, and where a page is in its list. Pure."""

import re
from collections.abc import Mapping

from syncd.model.errors import UnexpectedAnswer
from syncd.sources.adapter import Response

MOST_ROWS = 200
"""Rows asked for at once; GLPI itself sets no limit."""

_TOTAL = re.compile(r"[0-9]+-[0-9]+/([0-9]{1,18})", re.ASCII)


def find_code(response: Response) -> str | None:
    """Return the code of an error, or None if it is none of GLPI's API: a proxy has such statuses too."""
    try:
        value = response.json()
    except UnexpectedAnswer:
        return None
    return value[0] if isinstance(value, list) and value and isinstance(value[0], str) else None


def find_total(response: Response) -> int | None:
    """Return how many rows a list has; the header is missing where it is empty."""
    match = _TOTAL.fullmatch(response.headers.get("Content-Range", "").strip())
    return int(match[1]) if match else None


def page_params(start: int) -> list[tuple[str, str | int]]:
    """Return the parameters of a page. A range names its last row, too."""
    pairs: Mapping[str, str] = {
        "range": f"{start}-{start + MOST_ROWS - 1}",
        "sort": "id",
        "order": "ASC",
        "get_hateoas": "false",
    }
    return list(pairs.items())


def require_code(response: Response, code: str) -> None:
    """Hold an error against the code that it should have: a web server has such statuses too.

    Raises:
        UnexpectedAnswer: another one, or none.
    """
    if find_code(response) != code:
        raise UnexpectedAnswer(f"{response.path} answered {response.status} without an error of GLPI's: check base_url")
