"""The first page: what stands there, and what it costs."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, event

from syncd.console.web.remembered import Remembered
from syncd.model.health import PauseCause
from syncd.model.link import Cause
from syncd.store import activity, health, link_changes
from syncd.testing.virtual_clock import VirtualClock
from tests.console.web.conftest import Served
from tests.console.web.stood import Stood, hour_of

HOSTILE = '<script>alert("x")</script> & \' \x1b[31m \u202egnp.exe'


@pytest.fixture
def stood(served: Served) -> Stood:
    """Return what puts things into the database of the server."""
    return Stood(served)


@pytest.fixture
def stood_on_both(served_on_both: Served) -> Stood:
    """Return the same, once on SQLite and once on PostgreSQL."""
    return Stood(served_on_both)


async def test_where_nothing_happened_yet_every_state_stands_in_a_word(stood: Stood) -> None:
    """An empty database shows each configured api and system with its state, and that nothing needs a person."""
    page = await stood.get("/")

    assert "Nothing needs a person." in page.text
    for words in ("berlin ok", "hamburg held", "desk (in_memory) not polled yet", "last success never", "nothing due"):
        assert words in page.text
    assert "nothing needs a person" in page.text, "the words at the top of every page"


async def test_what_needs_a_person_comes_first_with_why_and_since_when(stood: Stood) -> None:
    """A paused api, a delivery in doubt and a suspended link stand above everything else, each with the way to it."""
    link_id = await stood.link()
    await stood.in_doubt(link_id)
    other = await stood.link(number="HD-2")
    since = stood.now - timedelta(hours=3)

    def write(connection: health.Connection) -> None:
        health.pause_api(connection, "berlin", PauseCause.KEY, "401: the key was refused", since)
        link_changes.suspend(connection, other, Cause.TICKET_GONE, "it is gone")

    await stood.served.database.write(write)
    page = await stood.get("/")

    assert page.text.index("Needs a person") < page.text.index("Apis")
    assert "paused api berlin for 3 h: 401: the key was refused" in page.text
    assert "in doubt 1 delivery : sent, perhaps" in page.text
    assert {"/apis/berlin/resume", "/needs-person?kind=in_doubt", "/needs-person?kind=suspended"} <= set(page.links)
    assert "3 need a person" in page.text
    assert page.html.index("<title>(3) Overview") > 0


async def test_an_api_that_fails_says_so_before_anybody_pauses_it(stood: Stood) -> None:
    """Attempts that come to nothing, with no delivery between, make an api `failing`, with what came of them."""
    waiting = await stood.deliver(await stood.link(), "pending")
    for ago in (300, 200):
        await stood.attempt(waiting, "refused_for_now", ago=ago)

    page = await stood.get("/")

    assert "berlin failing nothing was delivered in the last 10 minutes; attempts: 2 failed (500, 503)" in page.text
    assert "since 5 min ago" in page.text


async def test_counts_of_the_pace_and_of_each_hour(stood_on_both: Stood) -> None:
    """What was done stands under its hour and under its api or system, on both databases alike."""
    stood = stood_on_both
    link_id, other = await stood.link(), await stood.link(api="hamburg", system="other")
    within = (stood.now - hour_of(stood.now)).total_seconds()
    # Two in an earlier hour, one at the end of the last hour, three in this one: one of them in its first instant.
    for ago in (within + 3600 * 2 + 5, within + 3600 * 2 + 1, within + 0.001, within, 0.0, 0.0):
        made = await stood.deliver(link_id, "delivered", ago=ago)
        await stood.attempt(made, "delivered", ago=ago)
    of_other = await stood.deliver(other, "pending", ago=70)
    for ago, outcome in ((61, "refused_for_now"), (59, "not_sent"), (58, "in_doubt"), (57, None)):
        await stood.attempt(of_other, outcome, ago=ago)

    def read(connection: health.Connection) -> tuple[object, ...]:
        hour = hour_of(stood.now)
        back = [hour - timedelta(hours=one) for one in (3, 1, 0)]
        lately = activity.attempts_since(
            connection, stood.now - timedelta(minutes=10), stood.now - timedelta(minutes=1)
        )
        hours = [hour - timedelta(hours=one) for one in range(5, -1, -1)]
        by_api, by_system = activity.count_delivered(connection, hours), activity.count_taken_in(connection, hours)
        return (
            [by_api.get((one, "berlin"), 0) for one in back],
            [by_system.get((one, "desk"), 0) for one in back],
            lately["hamburg"],
            lately["berlin"].requests,
        )

    delivered, taken_in, hamburg, requests = await stood.served.database.read(read)

    assert delivered == taken_in == [2, 1, 3]
    assert requests == 2 + (within < 60) + (within < 59.99)
    assert hamburg == activity.Lately(
        outcomes={"refused_for_now": 1, "not_sent": 1, "in_doubt": 1, "on_the_wire": 1},
        first_at=stood.now - timedelta(seconds=61),
        requests=2,
    ), "what never left costs nothing of the pace, and what left over a minute ago neither"
    page = await stood.get("/")
    assert "Delivered to berlin: 6 in 24 h" in page.text
    assert "Replies taken in from desk: 6 in 24 h" in page.text
    assert "Delivered to berlin in the last 24 hours: 6; most in an hour: 3" in page.html, "the picture in words"


async def test_an_hour_that_is_over_is_read_once(stood: Stood, clock: VirtualClock) -> None:
    """A page that is looked at all day reads the current hour and not the whole day again."""
    link_id = await stood.link()
    made = await stood.deliver(link_id, "delivered")
    await stood.attempt(made, "delivered")
    await clock.sleep(11 * 60)
    await stood.get("/")
    begins: list[tuple[object, ...]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        if "count(*)" in statement and "delivery.created_at <" in statement:
            begins.append(parameters)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await clock.sleep(30)
        await stood.get("/")
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    (parameters,) = begins
    hours = {text for text in parameters if isinstance(text, str) and text.endswith(":00:00.000000")}
    assert len(hours) == 2, "the beginning and the end of the hour that goes on; those before it are known"


async def test_texts_of_others_can_do_nothing_on_a_page(stood: Stood) -> None:
    """A reason or a ticket number with markup, quotes or controls of a terminal is shown as what it is."""
    link_id = await stood.link(number=HOSTILE)
    made = await stood.deliver(link_id, "parked", reason=HOSTILE, subject=HOSTILE, content=HOSTILE, reply_id=HOSTILE)
    await stood.served.database.write(
        lambda c: health.pause_api(c, "berlin", PauseCause.NOT_THE_API, HOSTILE, stood.now)
    )

    for path in ("/", "/needs-person", f"/deliveries/{made}", f"/deliveries/confirm?do=skip&id={made}"):
        page = await stood.get(path)
        assert "alert" in page.text, "it is shown"
        assert [given.get("src") for tag, given in page.tags if tag == "script"] == ["/static/syncd.js"]
        assert not {"\x1b", "\u202e"} & set(page.html)
    assert not any(name.startswith("on") or name == "style" for _, given in page.tags for name in given)


async def test_ten_pages_at_once_ask_the_database_once(clock: VirtualClock) -> None:
    """Who asks while something is read waits for that reading, and it is good for a moment."""
    readings = 0

    async def read() -> int:
        nonlocal readings
        readings += 1
        await clock.sleep(0.5)
        return readings

    remembered = Remembered(clock, read)
    assert await asyncio.gather(*(remembered.get() for _ in range(10))) == [1] * 10
    await clock.sleep(5)
    assert await remembered.get() == 1, "half a second of reading is worth ten of remembering"
    await clock.sleep(6)
    assert await remembered.get() == 2


async def test_what_was_changed_while_it_was_read_is_read_again(clock: VirtualClock) -> None:
    """A reading that had begun before somebody decided is not taken for what stands after it."""
    readings: list[datetime] = []

    async def read() -> int:
        readings.append(clock.now())
        await clock.sleep(1)
        return len(readings)

    remembered = Remembered(clock, read)
    first = asyncio.create_task(remembered.get())
    await clock.sleep(0.5)
    remembered.forget()
    assert (await first, await remembered.get()) == (1, 2)
