"""The control API's links: what a program does that has just made a thread, and what it asks about later."""

import asyncio
from datetime import datetime, timedelta

import pytest

from syncd.model.delivery import DeliveryState
from syncd.model.link import Cause
from syncd.store import link_changes, links, timeline
from tests.console.web.stock import AT, add_deliveries, add_link, suspend

LINK = {"api": "berlin", "customer_id": 7, "thread_id": 500, "system": "desk", "ticket_number": "HD-1"}
LINKS = "/api/v1/links"


async def put(served, **changes):
    """Register a link."""
    return await served.ask(
        "PUT", LINKS, body={key: value for key, value in (LINK | changes).items() if value is not None}
    )


async def test_a_link_is_registered_once(served):
    """The first time it is made and its ticket looked up at once; the same again changes nothing."""
    first = await put(served)
    assert (first.status, first.json["state"], first.json["ticket_number"]) == (201, "unresolved", "HD-1")
    assert first.json["deliveries"] == {}
    assert served.poked == ["desk"]
    again = await put(served, **{"from": "start"})
    assert (again.status, again.json) == (200, first.json)
    assert served.poked == ["desk"]


async def test_many_at_once_make_one_link(served_on_both):
    """A program that asks again while it is asked about makes no second link, and every answer is the same link."""
    answers = await asyncio.gather(*(put(served_on_both) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1


async def test_a_thread_has_one_link(served):
    """Another ticket for the same thread is refused, in a sentence with what it is linked to; one removed is none."""
    link_id = (await put(served)).json["id"]
    other = await put(served, ticket_number="HD-2")
    assert other.status == 409
    assert "linked to ticket HD-1 of desk" in other.json["error"]
    assert (await put(served, system="other")).status == 409
    assert (await served.ask("DELETE", f"{LINKS}/{link_id}")).json["link"]["state"] == "removed"
    assert (await put(served, ticket_number="HD-2")).status == 201


async def test_from_when_replies_are_new(served):
    """`now` is when it is registered, `start` is everything, an instant is taken with its zone."""
    now = served.clock.now()
    for thread, (begin, at) in enumerate(
        [
            (None, now),
            ("now", now),
            ("start", datetime.fromisoformat("1970-01-01T00:00:00+00:00")),
            ("2026-04-30T10:00:00+02:00", datetime.fromisoformat("2026-04-30T08:00:00+00:00")),
            ("2026-04-30T08:00:00Z", datetime.fromisoformat("2026-04-30T08:00:00+00:00")),
        ]
    ):
        answer = await put(served, thread_id=thread, **{"from": begin})
        assert abs(datetime.fromisoformat(answer.json["from"]) - at) < timedelta(seconds=1)


@pytest.mark.parametrize("link", ["ticket_number", "ticket_link"])
async def test_a_ticket_is_named_by_number_or_link(served, link):
    """Either names it."""
    named = {"ticket_number": None, "ticket_link": None} | {link: "https://desk.example/tickets/1"}
    assert (await put(served, **named)).json[link] == "https://desk.example/tickets/1"


UNFIT = [
    ({"ticket_number": None}, "", "ticket_number or by ticket_link"),
    ({"ticket_link": "https://x.example/1"}, "", "one of them"),
    ({"ticket_number": " "}, "ticket_number", "at least 1 character"),
    ({"ticket_number": "H\x1b[31m"}, "ticket_number", "cannot be printed"),
    ({"ticket_number": "H\x00"}, "ticket_number", "cannot be printed"),
    ({"ticket_number": "x" * 201}, "ticket_number", "at most 200"),
    ({"ticket_number": 17}, "ticket_number", "valid string"),
    ({"customer_id": "7"}, "customer_id", "valid integer"),
    ({"customer_id": True}, "customer_id", "valid integer"),
    ({"customer_id": 7.5}, "customer_id", "valid integer"),
    ({"customer_id": -1}, "customer_id", "greater than or equal to 0"),
    ({"thread_id": 2**63}, "thread_id", "less than or equal to"),
    ({"thread_id": 10**400}, "thread_id", ""),
    ({"from": "yesterday"}, "from", ""),
    ({"from": "2026-04-30T10:00:00"}, "from", "no time zone"),
    ({"from": 1777000000}, "from", ""),
    ({"threadId": 1}, "threadId", "not permitted"),
    ({"api": "berln"}, None, "no [api.berln] in the settings"),
    ({"system": "dsk"}, None, "no [systems.dsk] in the settings"),
]


async def test_what_does_not_fit_is_refused_with_its_place(served):
    """Each mistake is named where it is, and nothing is registered."""
    for changes, place, message in UNFIT:
        answer = await put(served, **changes)
        assert (changes, answer.status) == (changes, 400 if place is None else 422)
        assert (changes, message in answer.text) == (changes, True)
        if place is not None:
            assert (changes, answer.json["problems"][0]["place"].startswith(place)) == (changes, True)
    assert (await served.get(LINKS)).json == {"links": [], "next": None}


async def test_only_small_flat_json_is_read(served):
    """Other kinds of content, what is no JSON, and what is too deep or too large are refused before anything else."""
    kinds = [("text/plain", 415), ("", 415), ("application/x-www-form-urlencoded", 415)]
    kinds += [
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=utf-8", 422),
        ("APPLICATION/JSON", 422),
    ]
    for kind, status in kinds:
        answer = await served.ask("PUT", LINKS, data=b"{}", headers={"Content-Type": kind})
        assert (kind, answer.status) == (kind, status)
    json = {"Content-Type": "application/json"}
    bodies = [(b"", 400), (b"{", 400), (b"\xff\xfe{}", 400), (b"[" * 100_000, 400), (b'{"api": "\\ud800"}', 400)]
    bodies += [
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b'"x"', 422),
        (b"NaN", 422),
    ]
    bodies += [(b"1" * 100_000, 422)]
    for body, status in bodies:
        answer = await served.ask("PUT", LINKS, data=body, headers=json)
        assert (body[:20], answer.status in {status, 400}) == (body[:20], True)
        assert answer.json["error"]


async def test_what_was_sent_is_not_in_the_answer(served):
    """Errors name keys and places, and no value: what was sent may be a secret or the contents of a reply."""
    answer = await put(served, ticket_number="\x07secret-of-mine", customer_id="secret-of-mine")
    assert answer.status == 422
    assert "secret-of-mine" not in answer.text
    long = await served.ask("PUT", LINKS, body={"k" * 5000: 1})
    assert len(long.text) < 2000


async def test_links_are_found(served_on_both):
    """By ticket, customer and thread, system and state, with the counts of their deliveries."""
    served = served_on_both
    ids = [await add_link(served.database, 500 + n, f"HD-{n}", system="desk" if n else "other") for n in range(4)]
    await suspend(served.database, ids[3])
    await add_deliveries(served.database, ids[1], 2)
    await add_deliveries(served.database, ids[1], 1, DeliveryState.PARKED)
    wanted = {
        "": ids[::-1],
        "ticket=HD-1": [ids[1]],
        "ticket=id-HD-1": [ids[1]],
        "customer_id=7&thread_id=502&api=berlin": [ids[2]],
        "thread_id=502": [ids[2]],
        "system=other": [ids[0]],
        "state=suspended": [ids[3]],
        "state=active&system=desk": [ids[2], ids[1]],
        "api=hamburg": [],
        "ticket=none": [],
    }
    for query, expected in wanted.items():
        answer = await served.get(f"{LINKS}?{query}")
        assert (query, [link["id"] for link in answer.json["links"]]) == (query, expected)
    (found,) = (await served.get(f"{LINKS}?ticket=HD-1")).json["links"]
    assert found["deliveries"] == {"pending": 2, "parked": 1}
    assert (await served.get(f"{LINKS}/{ids[3]}")).json["reason"] == "the ticket is gone"


async def test_links_come_in_pages(served):
    """Page after page has each of them once, though others are registered meanwhile."""
    ids = [await add_link(served.database, 500 + n, f"HD-{n}") for n in range(5)]
    seen, after = [], ""
    for page in range(3):
        answer = (await served.get(f"{LINKS}?limit=2{after}")).json
        seen += [link["id"] for link in answer["links"]]
        after = f"&after={answer['next']}"
        await add_link(served.database, 600 + page, f"HX-{page}")
    assert seen == ids[::-1]
    assert answer["next"] is None


async def test_a_query_that_does_not_fit(served):
    """Unknown, repeated or wrong parameters are refused with their place."""
    queries = {"limit=0": "limit", "limit=501": "limit", "after=0": "after", "state=odd": "state", "page=2": "page"}
    queries |= {"api=a&api=b": "api", "ticket=%00": "ticket", "customer_id=x": "customer_id", "after=": "after"}
    queries |= {"thread_id=9223372036854775808": "thread_id", "ticket=%ff": None, "state=": "state"}
    for query, place in queries.items():
        answer = await served.get(f"{LINKS}?{query}")
        if place is None:
            assert (query, answer.status) == (query, 200)
        else:
            assert (query, answer.status) == (query, 422), answer.text
            assert (query, answer.json["problems"][0]["place"]) == (query, place)


async def test_a_link_that_is_not_there(served):
    """Whatever is asked of it, there is nothing."""
    for method, path, body in [
        ("GET", "/99", None),
        ("DELETE", "/99", None),
        ("POST", "/99/resume", {}),
        ("GET", "/0", None),
        ("GET", "/9" * 30, None),
        ("GET", "/-1", None),
        ("GET", "/%D9%A3", None),
    ]:
        assert (path, (await served.ask(method, LINKS + path, body=body)).status) == (path, 404)


async def test_removing_skips_what_waits(served):
    """What still waits is skipped, which is counted; again it changes nothing. Who did it stands in the records."""
    link_id = await add_link(served.database)
    await add_deliveries(served.database, link_id, 3)
    headers = {"X-Syncd-Who": "crm-sync"}
    answer = await served.ask("DELETE", f"{LINKS}/{link_id}", headers=headers)
    assert (answer.status, answer.json["skipped"]) == (200, 3)
    assert answer.json["link"]["deliveries"] == {"skipped": 3}
    again = await served.ask("DELETE", f"{LINKS}/{link_id}", headers=headers)
    assert (again.status, again.json["skipped"]) == (200, 0)
    assert await decisions(served, f"link {link_id}") == [("crm-sync (API)", "remove", "removed")]


async def decisions(served, subject):
    """Return who decided what about something, and why."""
    found = await served.database.read(lambda c: timeline.read_decisions(c, subject))
    return [(one.who, one.action, one.reason) for one in found]


async def test_a_suspended_link_is_resumed(served):
    """It is followed again, its lane is told; what is not suspended is not resumed."""
    link_id = await add_link(served.database)
    refused = await served.ask("POST", f"{LINKS}/{link_id}/resume", body={})
    assert (refused.status, "only suspended links" in refused.json["error"]) == (409, True)
    await suspend(served.database, link_id)
    merged = await served.ask("POST", f"{LINKS}/{link_id}/resume", body={"follow": True})
    assert (merged.status, "another reason than a merge" in merged.json["error"]) == (409, True)
    answer = await served.ask("POST", f"{LINKS}/{link_id}/resume", body={"reason": "it is back"})
    assert (answer.status, answer.json["state"], served.poked) == (200, "active", ["desk"])
    assert await decisions(served, f"link {link_id}") == [("the control API", "resume", "it is back")]


async def test_a_merge_is_followed_by_the_owner(served):
    """To follow one the vendor has to be asked, so it is asked for: 202, and a request to look at."""
    link_id = await add_link(served.database)
    await suspend(served.database, link_id, Cause.TICKET_MERGED, into="id-HD-9")
    answer = await served.ask("POST", f"{LINKS}/{link_id}/resume", body={"follow": True})
    assert (answer.status, answer.json["kind"], answer.json["state"]) == (202, "follow", "waiting")
    request = await served.get(f"/api/v1/requests/{answer.json['id']}")
    assert request.json == answer.json
    assert served.poked == ["desk"]


async def test_what_the_ticket_says_now_is_shown(served):
    """The link names the ticket as it was found, not as it was written."""
    link_id = (await put(served)).json["id"]
    found = await served.database.read(lambda c: links.find(c, link_id))
    assert found is not None
    await served.database.write(lambda c: link_changes.postpone(c, link_id, AT))
    assert (await served.get(f"{LINKS}/{link_id}")).json["failures"] == 1
