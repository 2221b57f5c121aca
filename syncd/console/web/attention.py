"""What every page says at its top: how much needs a person, and what was done just now.

A note is kept here under a random name, which the address of the page then has: a text in the address itself could be
anybody's.
"""

import secrets
from collections import OrderedDict

from aiohttp import web

NEEDED = web.RequestKey("needed", int)
NOTES = web.AppKey("notes", OrderedDict[str, str])
MOST_NOTES = 200
PARAMETER = "note"


def new_notes() -> OrderedDict[str, str]:
    """Return the place of an application's notes."""
    return OrderedDict()


def needed(request: web.Request) -> int | None:
    """Return how much needs a person, None where that was not read."""
    return request.get(NEEDED)


def find_note(request: web.Request) -> str | None:
    """Return the note that a page's address names."""
    return request.app[NOTES].get(request.query.get(PARAMETER, ""))


def leave_note(request: web.Request, text: str) -> str:
    """Keep a note for the page that comes next; return the name that its address has to have."""
    notes = request.app[NOTES]
    name = secrets.token_urlsafe(9)
    notes[name] = text
    while len(notes) > MOST_NOTES:
        notes.popitem(last=False)
    return name


def back_to(request: web.Request, path: str, text: str) -> web.HTTPSeeOther:
    """Return the way back to a page, which then says what was done."""
    joint = "&" if "?" in path else "?"
    return web.HTTPSeeOther(f"{path}{joint}{PARAMETER}={leave_note(request, text)}")
