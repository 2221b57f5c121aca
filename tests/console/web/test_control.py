"""The control API's deliveries, requests, apis and systems."""

from itertools import pairwise

import pytest

from syncd.model.delivery import DeliveryState
from syncd.store import requests
from syncd.store.delivery_pages import DeliverySearch, find_page
from syncd.store.requests import RequestKind, RequestState
from tests.console.web.stock import MESSAGE, add_deliveries, add_link

DELIVERIES = "/api/v1/deliveries"


@pytest.fixture
async def stocked(served):
    """Return the server with a link and a delivery in each state that a person decides about, by state."""
    link_id = await add_link(served.database)
    ids = {}
    for state in (DeliveryState.PENDING, DeliveryState.PARKED, DeliveryState.IN_DOUBT, DeliveryState.DELIVERED):
        ids[state.value], _ = await add_deliveries(served.database, link_id, 2, state)
    return served, ids


async def test_deliveries_are_found(served_on_both):
    """By state, api, system and ticket, page after page, newest first, each once, and without their contents."""
    served = served_on_both
    one, other = await add_link(served.database), await add_link(served.database, 501, "HD-2", system="other")
    parked = await add_deliveries(served.database, one, 3, DeliveryState.PARKED)
    pending = await add_deliveries(served.database, other, 2)
    done = await add_deliveries(served.database, one, 2, DeliveryState.DELIVERED)
    wanted = {"": done[::-1] + pending[::-1] + parked[::-1], "state=parked": parked[::-1], "ticket=HD-2": pending[::-1]}
    wanted |= {
        "state=delivered&system=desk": done[::-1],
        "api=hamburg": [],
        "ticket=none": [],
        "system=other": pending[::-1],
    }
    wanted |= {"state=parked&ticket=HD-1&api=berlin": parked[::-1], "state=pending&ticket=HD-1": []}
    for query, expected in wanted.items():
        assert (query, await walked(served, query)) == (query, expected)
    answer = await served.get(DELIVERIES)
    assert MESSAGE.content not in answer.text


async def walked(served, query):
    """Return the ids of all pages."""
    ids, after = [], ""
    while True:
        answer = (await served.get(f"{DELIVERIES}?{query}&limit=2{after}")).json
        ids += [one["id"] for one in answer["deliveries"]]
        assert len(answer["deliveries"]) <= 2
        if answer["next"] is None:
            return ids
        after = f"&after={answer['next']}"


async def test_a_page_looks_at_few_rows(served):
    """Where what is wanted is rare, pages end early and say where to go on; none is left out, none comes twice."""
    link_id = await add_link(served.database)
    ids = [*await add_deliveries(served.database, link_id, 1, DeliveryState.SKIPPED, name="first")]
    ids += await add_deliveries(served.database, link_id, 25, DeliveryState.DELIVERED)
    ids += await add_deliveries(served.database, link_id, 1, DeliveryState.SKIPPED, name="last")
    pages, before = [], None
    while True:
        search = DeliverySearch(state=DeliveryState.SKIPPED)
        page = await served.database.read(lambda c: find_page(c, search, before, 100, window=10))  # noqa: B023 - awaited at once
        pages.append([item.id for item in page.items])
        if (before := page.next_before) is None:
            break
    assert pages == [[ids[-1]], [], [ids[0]]]


async def test_a_delivery_in_full(stocked):
    """With its contents, its attempts and, where somebody has to decide, the evidence and what each decision risks."""
    served, ids = stocked
    found = (await served.get(f"{DELIVERIES}/{ids['in_doubt']}")).json
    assert found["message"]["content"] == MESSAGE.content
    assert found["attempts"] == []
    assert set(found["evidence"]["risks"]) == {"delivered", "resend", "skip"}
    assert (await served.get(f"{DELIVERIES}/{ids['delivered']}")).json["evidence"] is None
    assert (await served.get(f"{DELIVERIES}/999")).status == 404


DECISIONS = [
    ("in_doubt", "resolve", {"resolution": "delivered"}, "delivered"),
    ("in_doubt", "resolve", {"resolution": "resend"}, "pending"),
    ("in_doubt", "resolve", {"resolution": "skip"}, "skipped"),
    ("parked", "retry", {}, "pending"),
    ("parked", "skip", {}, "skipped"),
    ("parked", "edit", {"content": "another text"}, "pending"),
]


async def test_decisions(served):
    """Each is made once, with a reason and a name in the records; again it does not fit to how things stand."""
    link_id, ann = await add_link(served.database), {"X-Syncd-Who": "ann"}
    for number, (state, action, body, after) in enumerate(DECISIONS):
        (one,) = await add_deliveries(served.database, link_id, 1, DeliveryState(state), name=f"r{number}")
        path = f"{DELIVERIES}/{one}"
        assert (await served.ask("POST", f"{path}/{action}", body=body)).status == 422
        done = await served.ask("POST", f"{path}/{action}", body=body | {"reason": "looked"}, headers=ann)
        assert (action, done.status, done.json["state"]) == (action, 200, after)
        (decision,) = (await served.get(path)).json["decisions"]
        assert (decision["who"], decision["reason"]) == ("ann (API)", "looked")
        again = await served.ask("POST", f"{path}/{action}", body=body | {"reason": "looked"})
        # What waits may be tried or changed again, and nothing is sent by that before it was.
        assert again.status == (200 if after == "pending" and action != "resolve" else 409)


async def test_an_edit_changes_what_is_said(stocked):
    """What is given takes the place of what was there, made harmless; a delivery that never had a text needs one."""
    served, ids = stocked
    path = f"{DELIVERIES}/{ids['parked']}"
    edit = {"subject": "New", "content": "two\r\nlines\x07", "reason": "mended"}
    assert (await served.ask("POST", f"{path}/edit", body=edit)).status == 200
    message = (await served.get(path)).json["message"]
    assert (message["subject"], message["content"].split()) == ("New", ["two", "lines\ufffd"])
    for body in ({"reason": "x"}, {"content": " ", "reason": "x"}, {"content": "", "reason": "x"}):
        assert (await served.ask("POST", f"{path}/edit", body=body)).status in {400, 422}
    link_id = await add_link(served.database, 501, "HD-2")
    (unmapped,) = await add_deliveries(served.database, link_id, 1, DeliveryState.PARKED, unmapped=True)
    path = f"{DELIVERIES}/{unmapped}/edit"
    assert (await served.ask("POST", path, body={"content": "a text", "reason": "x"})).status == 400
    whole = {"content": "a text", "direction": "INCOMING", "reason": "x"}
    assert (await served.ask("POST", path, body=whole)).status == 200


async def test_what_does_not_fit_is_decided_by_nobody(stocked):
    """A decision for another state, about nothing, or with no reason changes nothing."""
    served, ids = stocked
    because = {"reason": "looked"}
    refused = [
        (f"{ids['delivered']}/resolve", {"resolution": "resend"} | because, 409),
        (f"{ids['parked']}/resolve", {"resolution": "resend"} | because, 409),
        (f"{ids['in_doubt']}/retry", because, 409),
        (f"{ids['in_doubt']}/skip", because, 409),
        (f"{ids['delivered']}/edit", {"content": "x"} | because, 409),
        ("999/retry", because, 404),
        ("999/edit", {"content": "x"} | because, 404),
        (f"{ids['in_doubt']}/resolve", {"resolution": "perhaps"} | because, 422),
        (f"{ids['in_doubt']}/resolve", because, 422),
        (f"{ids['parked']}/retry", {"reason": "  "}, 422),
        (f"{ids['parked']}/retry", {"reason": "a\x00b"}, 422),
        (f"{ids['parked']}/retry", {"reason": "x" * 501}, 422),
    ]
    for path, body, status in refused:
        assert (path, (await served.ask("POST", f"{DELIVERIES}/{path}", body=body)).status) == (path, status)
    states = [one["state"] for one in (await served.get(DELIVERIES)).json["deliveries"]]
    assert [state for state, _ in pairwise([*states, ""])][::2] == ["delivered", "in_doubt", "parked", "pending"]


async def test_a_poll_is_asked_for(served):
    """Of all systems, of one, or of a ticket: the owners are asked and told; paused ones are left out."""
    await add_link(served.database)
    both = await served.ask("POST", "/api/v1/polls", body={})
    assert (both.status, [one["system"] for one in both.json["requests"]]) == (202, ["desk", "other"])
    assert served.poked == ["desk", "other"]
    again = await served.ask("POST", "/api/v1/polls", body={})
    assert again.json == both.json
    one = await served.ask("POST", "/api/v1/polls", body={"ticket": "HD-1"})
    assert [(one["system"], one["arguments"]) for one in one.json["requests"]] == [("desk", {"tickets": ["HD-1"]})]
    assert (await served.ask("POST", "/api/v1/polls", body={"ticket": "HD-9"})).status == 400
    assert (await served.ask("POST", "/api/v1/polls", body={"system": "dsk"})).status == 400
    await served.ask("POST", "/api/v1/systems/desk/pause", body={"reason": "holidays"})
    rest = await served.ask("POST", "/api/v1/polls", body={})
    assert [one["system"] for one in rest.json["requests"]] == ["other"]
    assert rest.json["left_out"] == {"desk": "the control API: holidays"}
    assert (await served.ask("POST", "/api/v1/polls", body={"system": "desk"})).status == 409


async def test_a_backfill_is_asked_for_and_stopped(served):
    """With the command's options; it shows how far it is, and can be stopped, once, with a reason."""
    await add_link(served.database)
    body = {"tickets": ["id-HD-1"], "since": "2026-01-01T00:00:00Z", "first_message": True}
    asked = await served.ask("POST", "/api/v1/backfills", body=body)
    assert asked.status == 202
    (request,) = asked.json["requests"]
    assert (request["system"], request["arguments"]["tickets"], request["state"]) == ("desk", ["HD-1"], "waiting")
    path = f"/api/v1/requests/{request['id']}"
    await served.database.write(lambda c: requests.report(c, request["id"], {"links": 1, "of": 3}))
    running = (await served.get(path)).json
    assert (running["state"], running["progress"]) == ("running", {"links": 1, "of": 3})
    assert (await served.ask("POST", f"{path}/stop", body={})).status == 422
    stopped = await served.ask("POST", f"{path}/stop", body={"reason": "too many"})
    assert (stopped.status, stopped.json["state"]) == (200, "stopped")
    assert (await served.ask("POST", f"{path}/stop", body={"reason": "again"})).status == 409
    gone_on = await served.ask("POST", "/api/v1/backfills", body=body)
    assert [(one["id"], one["state"]) for one in gone_on.json["requests"]] == [(request["id"], "waiting")]


async def test_a_backfill_that_makes_no_sense(served):
    """Nothing is asked for."""
    await add_link(served.database)
    for body, status in [
        ({"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, 400),
        ({"tickets": ["HD-9"]}, 400),
        ({"system": "dsk"}, 400),
        ({"since": "2026-02-01T00:00:00"}, 422),
        ({"tickets": "HD-1"}, 422),
        ({"first_message": "yes"}, 422),
    ]:
        assert (body, (await served.ask("POST", "/api/v1/backfills", body=body)).status) == (body, status)
    assert await served.database.read(requests.open_requests) == []


async def test_only_a_backfill_is_stopped(served):
    """Another request, or none, is not."""
    (poll,) = (await served.ask("POST", "/api/v1/polls", body={"system": "desk"})).json["requests"]
    assert (await served.ask("POST", f"/api/v1/requests/{poll['id']}/stop", body={"reason": "x"})).status in {404, 409}
    assert (await served.ask("POST", "/api/v1/requests/999/stop", body={"reason": "x"})).status == 404
    found = await served.database.read(lambda c: requests.find(c, poll["id"]))
    assert (found.kind, found.state) == (RequestKind.POLL, RequestState.WAITING)


async def test_apis_and_systems_are_paused_and_resumed(served):
    """Each with a reason and a name, seen at once by whoever asks how things stand."""
    headers = {"X-Syncd-Who": "ann"}
    assert (await served.get("/api/v1/status")).json["needs_person"] == []
    for kind, name in (("apis", "berlin"), ("systems", "desk")):
        path = f"/api/v1/{kind}/{name}"
        assert (await served.ask("POST", f"{path}/pause", body={})).status == 422
        paused = await served.ask("POST", f"{path}/pause", body={"reason": "holidays"}, headers=headers)
        assert (paused.status, paused.json["state"]) == (200, "paused")
        assert paused.json["reason"] == "ann (API): holidays"
        (listed,) = [one for one in (await served.get(f"/api/v1/{kind}")).json[kind] if one["name"] == name]
        assert listed == paused.json
        status = (await served.get("/api/v1/status")).json
        assert status[kind][name] == paused.json
        assert len(status["needs_person"]) == 1
        resumed = await served.ask("POST", f"{path}/resume", body={})
        assert (resumed.status, resumed.json["state"] != "paused") == (200, True)
        assert (await served.ask("POST", f"/api/v1/{kind}/none/pause", body={"reason": "x"})).status == 404
    assert served.poked[-1] == "desk"


async def test_a_held_api_is_released(served):
    """Only one that is held; it sends from then on."""
    released = await served.ask("POST", "/api/v1/apis/hamburg/release", body={"reason": "looked at the previews"})
    assert (released.status, released.json["state"]) == (200, "sending")
    refused = await served.ask("POST", "/api/v1/apis/berlin/release", body={})
    assert (refused.status, "not held" in refused.json["error"]) == (409, True)
