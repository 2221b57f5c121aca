"""Whatever an adapter is handed, link, number, cursor or JSON: values, a question to its own host, a named failure."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters._rest_expressions import Expression, Unfit
from syncd.model.errors import SyncdError
from syncd.model.ticket import Cursor, TicketRef
from syncd.sources.adapter import Refused
from syncd.sources.address import leads_elsewhere
from syncd.sources.links import parse_ticket_link
from tests.fuzz.adapters import NAMES, AnsweringHttp, Asked, open_over
from tests.fuzz.material import ANY_CHARACTER, ODD_TIMES, SCALARS, TEXTS, json_values
from tests.fuzz.runs import fuzz

MOST_REPLIES = 200
KEYS = st.sampled_from(
    ("id", "ids", "results", "data", "items", "tickets", "ticket", "conversations", "meta", "total", "count",
     "next", "links",
     "at", "since", "seen", "known", "start", "after", "newest", "journal", "messages", "created_at",
     "updated_at", "status",
     "value", "records", "done", "page", "pages", "_links", "_results", "error", "errors", "end_of_stream",
     "after_cursor"),
)  # fmt: skip
PARTS = st.sampled_from(
    ("/tickets/1", "/ticket/1", "/issues/1", "/browse/A-1", "/Ticket/Display.html?id=1", "/#ticket/zoom/1",
     "/open/cnv_1a",
     "/conversation/1/2", "?number=INC0010001", "?TicketID=1", "/a/tickets/1", "/agent/tickets/1", "/x/../tickets/1",
     "/%2e%2e/tickets/1", "/tickets/%00", "/tickets/1%0d%0aX", "/tickets/\u0661", "/tickets/" + "9" * 400, "#",
     "?", "//", "\\",
     ";", "/tickets/1;x", "/tickets/1?id=2#3", "\u3002", "\u2024", "\u00ad", "[", "]", "@", ":", "%", "1",
     "/r/Case/500000000000001AAA/view"),
)  # fmt: skip
HOSTS = st.sampled_from(
    ("{own}", "{own}:443", "{own}:99999", "{own}.", "user@{own}", "user:pass@{own}", "{own}@evil.example",
     "evil.example",
     "[::1]", "[", "{own}\\.evil.example", "{own}%2eevil.example", "\u0251.example", ""),
)  # fmt: skip
SCHEMES = st.sampled_from(
    ("https://", "http://", "HTTPS://", "javascript:", "file://", "//", "", "https:", "https:///", "\x00https://")
)
LINKS = st.one_of(
    st.tuples(SCHEMES, HOSTS, st.lists(PARTS | st.text(ANY_CHARACTER, max_size=5), max_size=4).map("".join)).map(
        "".join
    ),
    TEXTS,
)
CURSORS = st.one_of(
    st.text(ANY_CHARACTER, max_size=20),
    ODD_TIMES,
    json_values(KEYS).map(json.dumps),
    st.dictionaries(KEYS, SCALARS, max_size=6).map(json.dumps),
    st.from_regex(r"\A@?[0-9]{1,25}(\|[@0-9a-z:,]{0,30})?\Z"),
)


def outcome_of(work: Awaitable[object]) -> str:
    """Return what came of a piece of work: `done`, `asked`, or the name of the failure; nothing else is borne."""

    async def run() -> object:
        return await work

    try:
        asyncio.run(run())
    except Asked:
        return "asked"
    except (SyncdError, Refused) as error:
        assert str(error)
        return type(error).__name__
    return "done"


async def drained(pages: AsyncIterator[Any]) -> None:
    """Read to the end, within bounds."""
    number = 0
    async with aclosing(pages) as read:
        async for _ in read:
            number += 1
            if number > MOST_REPLIES:
                return


@pytest.mark.parametrize("name", NAMES)
@fuzz(3)
@given(link=LINKS)
@example(link="https://[")
@example(link="https://{own}/" + "tickets/" * 10_000)
def test_a_link_is_asked_about_at_home_or_refused(name: str, link: str) -> None:
    """A link of whatever form leads to a question to the system's own host, or to none."""
    http = AnsweringHttp()
    adapter = open_over(name, http)
    web = getattr(adapter.options, "web_url", adapter.options.base_url)
    ref = TicketRef(link=link.replace("{own}", urlsplit(web).netloc))
    assert outcome_of(adapter.resolve(ref)) in {"asked", "InvalidTicketRef"}
    assert not any(leads_elsewhere(path) for path in http.paths)


@pytest.mark.parametrize("name", NAMES)
@fuzz(3)
@given(number=TEXTS | PARTS | st.integers().map(str))
def test_a_number_is_asked_about_at_home_or_refused(name: str, number: str) -> None:
    """So it is with a ticket's number, whatever a person typed."""
    http = AnsweringHttp()
    assert outcome_of(open_over(name, http).resolve(TicketRef(number=number))) in {"asked", "InvalidTicketRef"}
    assert not any(leads_elsewhere(path) for path in http.paths)


@pytest.mark.parametrize("name", NAMES)
@fuzz(3)
@given(cursor=CURSORS)
@example(cursor="")
@example(cursor="9" * 5000)
@example(cursor="[" * 100_000)
@example(cursor="99999999999999999999|")
@example(cursor="-1")
@example(cursor="null")
@example(cursor='{"at": 1e400}')
def test_a_foreign_cursor_is_a_named_failure(name: str, cursor: str) -> None:
    """A cursor that another adapter or nobody made is refused, or leads to a question; nothing is concluded from it."""
    outcome = outcome_of(drained(open_over(name, AnsweringHttp()).changes(Cursor(cursor))))
    assert outcome in {"asked", "UnexpectedAnswer"}


@pytest.mark.parametrize("name", NAMES)
@fuzz(3)
@given(answers=st.lists(json_values(KEYS, 20), min_size=1, max_size=4))
def test_json_of_another_shape_is_a_named_failure(name: str, answers: list[object]) -> None:
    """Whatever JSON a vendor answers, reading it ends, with values or a failure that has a name."""
    adapter = open_over(name, AnsweringHttp(*answers))
    outcome_of(adapter.check())
    outcome_of(adapter.tickets(["1"]))


EXPRESSIONS = st.lists(
    st.sampled_from(
        ("id", "a", ".", "[0]", "[*]", "[]", "[?a]", "[?a==`1`]", "||", "&&", "!", "|", "@", "length(@)",
         "keys(@)", "to_string(@)",
         "to_number(@)", "join(',', @)", "sort(@)", "sum(@)", "max(@)", "avg(@)", "map(&a, @)",
         "sort_by(@, &a)", "{a: b}", "[a, b]",
         "`1`", "'x'", "`[`", "&a", "(", ")", "-1", "[::2]", "[1:0:-1]", "[::0]", "not_null(a, b)",
         "reverse(@)", "nope(@)"),
    ),
    min_size=1, max_size=5,
).map("".join)  # fmt: skip


@fuzz(26)
@given(EXPRESSIONS | st.text(ANY_CHARACTER, max_size=12), json_values(KEYS))
@example("sum(@)", [10**400, 1.5])
@example("(" * 5000, None)
@example("a." * 5000 + "a", {})
@example("!" * 5000 + "a", {})
@example("[::0]", [1])
def test_an_expression_gives_a_value_or_is_unfit(text: str, record: object) -> None:
    """A JMESPath expression is refused when it is read, or gives a value, or says why it cannot."""
    try:
        expression = Expression.parse(text)
    except ValueError as error:
        assert str(error)
        return
    try:
        expression.find(record)
    except Unfit as error:
        assert str(error)


@fuzz(26)
@given(LINKS, st.lists(st.sampled_from(("help.example", "help.example:8443")), max_size=2))
@example("https://desk.example/" + "a" * 3000, [])
def test_a_ticket_link_of_ours_names_one_of_our_hosts(link: str, hosts: list[str]) -> None:
    """What is taken for a ticket link is one whose host is the configured one or listed."""
    link = link.replace("{own}", "desk.example")
    try:
        parts = parse_ticket_link(link, "https://desk.example", hosts)
    except SyncdError as error:
        assert len(str(error)) < 3000
    else:
        assert parts.hostname in {"desk.example", "help.example"}
        assert parts.username is None
