"""Intercom's endpoints: what is asked, how its searches go on, and which of its answers are none.

https://developers.intercom.com/docs/references/rest-api/api.intercom.io
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters._intercom_records import CONVERSATIONS, Family
from syncd.model.errors import PauseSystem, RetryLater, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.records import Record, record_of

VERSION = "2.14"
PAGE_SIZE = 150  # the most that a search of conversations gives
IDS_AT_ONCE = 50  # how many a search takes is nowhere said
NO_ACCESS = "the token may not read conversations: give the app the permission Read conversations"
UNAVAILABLE = {403: Unavailability.FORBIDDEN, 404: Unavailability.GONE}
_CODE = re.compile(r"[a-z][a-z_]{2,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search, the token of the next one, and Intercom's own time at which it was told."""

    rows: list[Record]
    after: str | None
    answered_at: datetime | None


class IntercomApi:
    """Reads of one workspace."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def me(self) -> Record:
        """Return the teammate whom the token stands for, with the workspace.

        https://developers.intercom.com/docs/references/rest-api/api.intercom.io/admins/identifyadmin

        Raises:
            PauseSystem: there is no such answer at this address.
        """
        response = await self._get("/me")
        if response.status != 200:
            raise PauseSystem(
                f"{response.path} answered {response.status}: base_url must be the API of the workspace's region, "
                "such as https://api.intercom.io"
            )
        return record_of(response)

    async def find_admins(self) -> dict[str, str | None] | None:
        """Return the names of all teammates by id, or None if the token may not list them.

        https://developers.intercom.com/docs/references/rest-api/api.intercom.io/admins/listadmins
        """
        response = await self._get("/admins")
        if response.status != 200:
            return None
        return {row.get_key("id"): row.find_text("name") for row in record_of(response).get_records("admins")}

    async def get(self, family: Family, key: str) -> Record:
        """Return a conversation or ticket with its parts, by Intercom's own id.

        https://developers.intercom.com/docs/references/rest-api/api.intercom.io/conversations/retrieveconversation
        https://developers.intercom.com/docs/references/rest-api/api.intercom.io/tickets/getticket

        Raises:
            TicketUnavailable: gone or forbidden.
            PauseSystem: no conversation may be read any more, which is no matter of this one.
        """
        response = await self._get(f"/{family.name}/{key}")
        if response.status == 403 and family is CONVERSATIONS and not await self.may_read(family):
            raise PauseSystem(NO_ACCESS)
        if response.status in UNAVAILABLE:
            raise TicketUnavailable(Unavailable(f"{family.prefix}{key}", UNAVAILABLE[response.status]))
        item = record_of(response)
        if item.get_key("id") != key:
            raise UnexpectedAnswer(f"{response.path} answered another id than the one asked for")
        return item

    async def may_read(self, family: Family) -> bool:
        """Tell whether the token may search conversations, or tickets."""
        return await self._search(family, {**_since("updated_at", 0), "pagination": {"per_page": 1}}) is not None

    async def by_ids(self, family: Family, keys: Sequence[str]) -> dict[str, Record]:
        """Return those of these that a search shows, by id; the others have to be asked for one by one.

        A search that Intercom does not want (400) shows none.

        Raises:
            UnexpectedAnswer: there are others in the answer, so that the condition was ignored.
        """
        shown: dict[str, Record] = {}
        for place in range(0, len(keys), IDS_AT_ONCE):
            batch = list(keys[place : place + IDS_AT_ONCE])
            query = {"field": "id", "operator": "IN", "value": batch}
            page = await self._search(family, {"query": query, "pagination": {"per_page": PAGE_SIZE}}, expect={400})
            found = {row.get_key("id"): row for row in page.rows} if page is not None else {}
            if not found.keys() <= set(batch):
                raise UnexpectedAnswer(
                    f"/{family.name}/search ignored the condition: it answered others than asked for"
                )
            shown |= found
        return shown

    async def changed(self, family: Family, since: int, after: str | None) -> Found | None:
        """Return a page of what changed at a second or later, oldest change first; None if it may not be read.

        `>` is said to mean "or equal", and seen not to: the second before is asked for, and later ones are accepted.
        https://developers.intercom.com/docs/references/rest-api/api.intercom.io/conversations/searchconversations

        Raises:
            UnexpectedAnswer: something older is in the answer, so that the condition was ignored.
        """
        page = await self._list(family, "updated_at", since - 1, "ascending", after)
        if page is not None and any(row.get_epoch("updated_at").timestamp() < since - 1 for row in page.rows):
            raise UnexpectedAnswer(f"/{family.name}/search ignored the condition: it answered what changed before")
        return page

    async def newest(self, family: Family, after: str | None) -> Found | None:
        """Return a page of all there are, newest change first; None if it may not be read."""
        return await self._list(family, "updated_at", 0, "descending", after)

    async def _list(self, family: Family, field: str, above: int, order: str, after: str | None) -> Found | None:
        """Return a page of a sorted search. It goes on by a token, inside a second too, and never by a time."""
        pagination: dict[str, Any] = {"per_page": PAGE_SIZE}
        if after is not None:
            pagination["starting_after"] = after
        asked = {**_since(field, above), "sort": {"field": field, "order": order}, "pagination": pagination}
        return await self._search(family, asked)

    async def _search(self, family: Family, asked: Mapping[str, Any], *, expect: Collection[int] = ()) -> Found | None:
        """Return a page of a search, or None if the token or the plan does not allow it.

        https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/pagination
        """
        try:
            sent = await self._http.post(f"/{family.name}/search", json=asked, expect={400, *UNAVAILABLE})
        except Refused as refused:
            raise UnexpectedAnswer(f"{refused.path} answered {refused.status}") from None
        response = _judged(sent, {*UNAVAILABLE, *expect})
        if response.status != 200:
            return None
        answer = record_of(response)
        rows, pages = answer.get_records(family.name), answer.find_record("pages")
        following = pages.find_record("next") if pages is not None else None
        is_first_of_list = "sort" in asked and "starting_after" not in asked["pagination"]
        if is_first_of_list and not rows and answer.find_int("total_count"):
            raise UnexpectedAnswer(f"{response.path} counts {family.name} and has none")
        after = following.get_text("starting_after") if following is not None else None
        return Found(rows, after, response.answered_at)

    async def _get(self, path: str) -> Response:
        """Read a path; a 403 and a 404 of Intercom's own are returned."""
        try:
            response = await self._http.get(path, expect={400, *UNAVAILABLE})
        except Refused as refused:
            raise UnexpectedAnswer(f"{refused.path} answered {refused.status}") from None
        return _judged(response, UNAVAILABLE)


def _since(field: str, above: int) -> dict[str, Any]:
    condition = {"field": field, "operator": ">", "value": max(0, above)}
    return {"query": {"operator": "AND", "value": [condition]}}


def _judged(response: Response, returned: Collection[int]) -> Response:
    """Return an answer that says something; refusals count only in Intercom's own words, as proxies refuse too.

    https://developers.intercom.com/docs/references/rest-api/errors/error-objects

    Raises:
        RetryLater: 200 and nothing, which Intercom answers now and then.
        PauseSystem: the version of the API is not there any more.
        UnexpectedAnswer: any other answer that says nothing about what was asked for.
    """
    if 200 <= response.status < 300:
        if not response.body.strip():
            raise RetryLater(f"{response.path} answered {response.status} without a word")
        return response
    code = _find_code(response)
    if code == "intercom_version_invalid":
        raise PauseSystem(f"Intercom has no version {VERSION} of its API any more: a newer syncd is needed")
    if code is None:
        raise UnexpectedAnswer(f"{response.path} answered {response.status}, but not as Intercom does: check base_url")
    if response.status not in returned:
        raise UnexpectedAnswer(f"{response.path} answered {response.status} ({code})")
    return response


def _find_code(response: Response) -> str | None:
    """Return the code of an error in Intercom's shape, or None if it has another one."""
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    errors = body.get("errors") if isinstance(body, dict) and body.get("type") == "error.list" else None
    code = errors[0].get("code") if isinstance(errors, list) and errors and isinstance(errors[0], dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None
