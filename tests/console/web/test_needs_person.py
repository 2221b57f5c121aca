"""What needs a person: found, told with its evidence, decided once, by somebody, for a reason; or left as it is."""

from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import select

from syncd.model.health import PauseCause
from syncd.model.link import Cause
from syncd.store import health, link_changes, standing
from syncd.store.standing import Decision, Resolution
from syncd.store.tables import decision
from tests.console.web.conftest import Served
from tests.console.web.stood import WHO, Stood

FLOODED = "flood: 300 replies of over an hour ago came as new"


@pytest.fixture
def stood(served: Served) -> Stood:
    """Return what puts things into the database of the server."""
    return Stood(served)


@pytest_asyncio.fixture
async def stood_on_both(served_on_both: Served) -> Stood:
    """Return the same, once on SQLite and once on PostgreSQL."""
    return Stood(served_on_both)


async def _decided(stood: Stood) -> list[tuple[str, str, str, str]]:
    columns = (decision.c.who, decision.c.action, decision.c.subject, decision.c.reason)
    rows = await stood.served.database.read(lambda c: c.execute(select(*columns).order_by(decision.c.id)).all())
    return [tuple(row) for row in rows]


async def test_every_kind_stands_with_why_and_since_when(stood_on_both: Stood) -> None:
    """In doubt with what its evidence says, parked, flooded, suspended and paused: each where it belongs, and once."""
    stood = stood_on_both
    link_id = await stood.link()
    doubtful = await stood.in_doubt(link_id, ago=7200)
    parked = await stood.deliver(link_id, "parked", ago=600, reason="refused: no customer")
    flooded = await stood.deliver(link_id, "parked", ago=500, reason=FLOODED)
    gone = await stood.link(number="HD-2")

    def write(connection: health.Connection) -> None:
        link_changes.suspend(connection, gone, Cause.TICKET_MERGED, "merged into HD-9", "HD-9")
        health.pause_system(connection, "desk", health.SYNCD, "the account was refused", stood.now)

    await stood.served.database.write(write)
    page = await stood.get("/needs-person")

    assert "it was sent, and no answer came: no answer within 30 s" in page.text
    assert f"{doubtful} 2 h" in page.text
    assert "refused: no customer" in page.text
    assert ": the account was refused" in page.text
    assert f"/links/{gone}/follow" in page.links
    for kind, ids in (("in_doubt", {doubtful}), ("parked", {parked}), ("flood", {flooded}), ("suspended", set())):
        only = await stood.get(f"/needs-person?kind={kind}")
        assert {given["value"] for tag, given in only.tags if given.get("name") == "id"} == set(map(str, ids)), kind


async def test_a_long_list_is_turned_over_without_missing_or_repeating_any(stood_on_both: Stood) -> None:
    """Each of 120 comes once, the longest waiting first, also of those that came at the same instant."""
    stood = stood_on_both
    made = await stood.deliver_all(await stood.link(), "parked", [3600.0 - number // 7 for number in range(120)])
    other = await stood.deliver(await stood.link(api="hamburg"), "parked", ago=10)
    seen: list[int] = []
    path: str | None = "/needs-person?kind=parked&api=berlin"
    pages = 0
    while path is not None:
        page = await stood.get(path)
        seen += [int(str(given["value"])) for tag, given in page.tags if given.get("name") == "id"]
        path = next((link for link in page.links if "after=" in link), None)
        pages += 1

    assert seen == made
    assert pages == 3
    assert other not in seen


@pytest.mark.parametrize(
    ("do", "before", "after", "action"),
    [
        ("delivered", "in_doubt", "delivered", "resolve delivered"),
        ("resend", "in_doubt", "pending", "resolve resend"),
        ("skip", "in_doubt", "skipped", "resolve skip"),
        ("retry", "parked", "pending", "retry"),
        ("skip", "parked", "skipped", "skip"),
    ],
)
async def test_a_decision_is_said_with_its_risk_then_made_and_recorded(
    stood: Stood, do: str, before: str, after: str, action: str
) -> None:
    """The page before it says what it risks; afterwards the state is another one, and who, what and why stand there."""
    link_id = await stood.link()
    made = await (stood.in_doubt(link_id) if before == "in_doubt" else stood.deliver(link_id, "parked", reason="no"))

    confirming = await stood.get(f"/deliveries/confirm?do={do}&id={made}&back=/needs-person?kind={before}")
    assert "what it risks" in confirming.text
    assert await stood.state_of(made) == before, "looking changes nothing"
    answered = await stood.send("/deliveries/decide", confirming, reason=" I have\r\nlooked ")

    assert answered.headers["Location"].startswith(f"/needs-person?kind={before}&note=")
    assert f"1 delivery ({made})" in await stood.note(answered)
    assert await stood.state_of(made) == after
    assert await _decided(stood) == [(f"{WHO} (API)", action, f"delivery {made}", "I have looked")]


async def test_several_are_decided_together_or_not_at_all(stood: Stood) -> None:
    """What another person decided meanwhile is told with who and why, and the whole decision changes nothing."""
    link_id = await stood.link()
    made = [await stood.in_doubt(link_id, ago=60 + number) for number in range(3)]
    chosen = "&".join(f"id={one}" for one in made)
    confirming = await stood.get(f"/deliveries/confirm?do=resend&{chosen}")
    assert "3 of them: The API may have added it" in confirming.text
    by = Decision("ben", stood.now, "I saw it")
    await stood.served.database.write(lambda c: standing.resolve(c, made[1], Resolution.DELIVERED, by))

    answered = await stood.send("/deliveries/decide", confirming, reason="not there")

    assert answered.status == 409
    assert "Nothing was changed" in answered.text
    assert "it is delivered now; the last decision about it is of ben: resolve delivered (I saw it)" in answered.text
    assert [await stood.state_of(one) for one in made] == ["in_doubt", "delivered", "in_doubt"]
    again = await stood.get(f"/deliveries/confirm?do=resend&{chosen}", status=409)
    assert f"delivery {made[1]} is delivered now" in again.text
    assert not [given for tag, given in again.tags if given.get("action") == "/deliveries/decide"]


async def test_a_decision_about_what_was_looked_at_in_another_version_is_refused(stood: Stood) -> None:
    """Parked, released and parked again is not what was looked at, though it stands in the same state."""
    made = await stood.deliver(await stood.link(), "parked", reason="first refusal", version=3)

    fields = [("do", "skip"), ("seen", f"{made}:parked:2"), ("reason", "old")]
    answered = await stood.post("/deliveries/decide", fields)

    assert answered.status == 409
    assert await stood.state_of(made) == "parked"


async def test_without_the_token_everything_is_shown_and_nothing_is_decided(stood: Stood) -> None:
    """Who has not logged in is not offered a button that does something, and is refused if the form is sent anyway."""
    made = await stood.in_doubt(await stood.link())
    for path in (f"/deliveries/confirm?do=skip&id={made}", f"/deliveries/{made}", "/needs-person"):
        answered = await stood.served.get(path, token=None)
        assert answered.status == 200
        assert "Log in to decide" in answered.text
        assert 'method="post"' not in answered.text

    fields = [("do", "skip"), ("seen", f"{made}:in_doubt:1"), ("reason", "x")]
    for path in ("/deliveries/decide", f"/deliveries/{made}/edit", "/apis/berlin/pause"):
        assert (await stood.post(path, fields, token=None)).status == 401
    assert await stood.state_of(made) == "in_doubt"
    assert await _decided(stood) == []


async def test_a_text_is_seen_before_it_is_sent(stood: Stood) -> None:
    """Editing shows first what would be sent, and the form that sends it; only that one changes something."""
    made = await stood.deliver(await stood.link(), "parked", reason="refused: too long", content="<b>old\n\ntext</b>")
    form = await stood.get(f"/deliveries/{made}/edit")
    assert "<b>old text</b>" in form.text

    fields = [*form.hidden, ("subject", "New"), ("content", "One\r\n</textarea>two "), ("direction", "OUTGOING")]
    answered = await stood.post(f"/deliveries/{made}/edit", [*fields, ("reason", "mended")])
    assert answered.status == 200
    assert await stood.state_of(made) == "parked"
    preview = await stood.get(f"/deliveries/{made}/edit")
    preview.feed(answered.text)
    assert "Send with this text" in preview.text
    sent = await stood.post(
        f"/deliveries/{made}/edit",
        [*fields, ("sure", "yes"), ("reason", "mended")],
    )

    assert await stood.note(sent) == f"Delivery {made} has your text now, and is queued."
    found = await stood.in_full(made)
    assert found.item.state == "pending"
    assert found.message is not None
    assert (found.message.subject, found.message.content) == ("New", "One\n</textarea>two")
    assert found.message.direction.value == "OUTGOING"
    assert await _decided(stood) == [(f"{WHO} (API)", "edit", f"delivery {made}", "mended")]
    late = await stood.post(f"/deliveries/{made}/edit", [*fields, ("sure", "yes"), ("reason", "again")])
    assert late.status == 409, "it was looked at before that decision"


async def test_contents_stand_on_the_page_of_a_delivery_and_in_no_failure(stood: Stood) -> None:
    """Who decides reads the text with the attempts and the evidence; what is refused quotes nothing of it."""
    link_id = await stood.link()
    before = await stood.deliver(link_id, "delivered", ago=300, communication_id=77)
    made = await stood.in_doubt(link_id, content="the secret of the customer", subject="a secret subject")
    page = await stood.get(f"/deliveries/{made}")

    for words in (
        "the secret of the customer",
        "a secret subject",
        "it was being written to the connection",
        f"{before} reply",
        "If it is in the thread, it then stands there twice",
    ):
        assert words in page.text
    refusals = [
        await stood.post(f"/deliveries/{made}/edit", [("content", "the secret of mine"), ("direction", "no")]),
        await stood.post("/deliveries/decide", [("do", "retry"), ("seen", f"{made}:in_doubt:1"), ("reason", "x")]),
        await stood.post("/deliveries/decide", [("do", "skip"), ("seen", f"{made}:in_doubt:1"), ("reason", " ")]),
        await stood.served.get("/deliveries/999999"),
        await stood.served.get(f"/deliveries/confirm?do=retry&id={made}"),
    ]
    assert [one.status for one in refusals] == [400, 409, 400, 404, 409]
    assert not [one for one in refusals if "secret" in one.text]
    assert await stood.state_of(made) == "in_doubt"


async def test_an_api_and_a_system_are_paused_and_resumed_with_a_reason(stood: Stood) -> None:
    """Each page says what happens then; what was done stands in the records, and a lane that was resumed is woken."""
    for kind, name in (("api", "berlin"), ("system", "desk")):
        path = f"/{kind}s/{name}"
        asking = await stood.get(f"{path}/pause")
        assert "What happens then" in asking.text
        assert "is paused" in await stood.note(await stood.send(f"{path}/pause", asking, reason="a migration"))
        assert "anna (API): a migration" in (await stood.get("/needs-person")).text
        again = await stood.send(f"{path}/resume", await stood.get(f"{path}/resume"), reason="it is over")
        assert "again" in await stood.note(again)
        assert (await stood.send(f"{path}/resume", asking, reason="twice")).status == 409
    released = await stood.send(
        "/apis/hamburg/release", await stood.get("/apis/hamburg/release"), reason="looked at it"
    )
    assert "is released" in await stood.note(released)

    assert [(action, subject) for _, action, subject, _ in await _decided(stood)] == [
        ("pause", "api berlin"),
        ("resume", "api berlin"),
        ("pause", "system desk"),
        ("resume", "system desk"),
        ("release", "api hamburg"),
    ]
    assert stood.served.poked[-1] == "desk"
    assert (await stood.served.get("/apis/nowhere/pause")).status == 404


async def test_a_restored_database_is_not_resumed_by_a_click(stood: Stood) -> None:
    """That takes a decision about all of it, on the machine: the page names the command, and resuming is refused."""
    await stood.served.database.write(
        lambda c: health.pause_api(c, "berlin", PauseCause.RESTORED, "the database is older", stood.now)
    )
    page = await stood.get("/needs-person")

    assert "syncd db restored" in page.text
    assert not [link for link in page.links if "/apis/berlin/resume" in link]
    answered = await stood.post("/apis/berlin/resume", [("reason", "please")])
    assert answered.status in {400, 409}
    assert (await stood.served.database.read(lambda c: health.get_api(c, "berlin"))).paused_cause is not None


@pytest.mark.parametrize(
    "path",
    [
        "/needs-person?kind=nonsense",
        "/needs-person?kind=parked&after=nonsense",
        "/needs-person?kind=parked&after=2026-01-01T00:00:00~1",
        "/needs-person?kind=suspended&after=-1",
        "/deliveries/confirm?do=destroy&id=1",
        "/deliveries/confirm?do=skip&id=99999999999999999999999",
        "/deliveries/confirm?do=skip&" + "&".join(f"id={one}" for one in range(101)),
    ],
)
async def test_an_address_that_makes_no_sense_is_refused_with_a_sentence(stood: Stood, path: str) -> None:
    """It is the one who asks that is wrong: 400, and not a bug in the log."""
    answered = await stood.served.get(path)

    assert answered.status == 400
    assert 'role="alert"' in answered.text


async def test_choosing_nothing_leads_back_and_says_so(stood: Stood) -> None:
    """A button without a tick is a slip, and no failure; nor does the way back lead to another site."""
    answered = await stood.served.get("/deliveries/confirm?do=skip&back=//evil.example/")

    assert answered.headers["Location"].startswith("/?note=")
    assert "Nothing was chosen" in await stood.note(answered)
    assert (await stood.get("/?note=You%20have%20won")).note == "", "a note is ours alone"


async def test_what_waits_long_stands_before_what_waits_short(stood: Stood) -> None:
    """The first page shows the longest waiting, however their ids run."""
    link_id = await stood.link()
    young = await stood.deliver(link_id, "parked", ago=5)
    old = await stood.deliver(link_id, "parked", ago=timedelta(days=3).total_seconds())
    page = await stood.get("/needs-person")

    order = [given["value"] for tag, given in page.tags if given.get("name") == "id"]
    assert order == [str(old), str(young)]
