"""What Prometheus is told: right numbers, bounded labels, and nothing that is nobody's business."""

from datetime import timedelta

import pytest
import pytest_asyncio

from syncd.console.web.gauges import ELSEWHERE
from syncd.console.web.meter import HOPS
from syncd.model.delivery import DeliveryState, Outcome
from syncd.model.health import PauseCause
from syncd.model.link import LinkState
from syncd.model.meter import AnswerClass, SweepResult
from syncd.service.settings_models import ConsoleSettings
from syncd.store import health, requests
from syncd.store.requests import RequestKind
from syncd.testing.sandbox_faults import Break, refusal
from tests.console.web.monitored import Monitored, key

TEXT = "the customer has lost a key to locker 12"


@pytest_asyncio.fixture
async def monitored(world):
    """Return a world with its addresses."""
    async with Monitored(world).served() as made:
        yield made


async def deliver(monitored, *, after_seconds: float = 0, api: str = "berlin") -> None:
    """Have a customer write, read it after a while, and deliver it."""
    world = monitored.world
    ticket = world.ticket()
    await world.link(ticket, api=api)
    await world.sweep()
    world.helpdesk.customer_reply(ticket.id, TEXT)
    await world.pass_time(after_seconds)
    await world.sync()


async def test_a_delivery_is_counted_with_its_hops(monitored) -> None:
    """One reply that waited 40 s to be read is one attempt, and one value in each hop of the right size."""
    before = await monitored.scrape()
    assert before[key("syncd_attempts_total", api="berlin", outcome="delivered")] == 0
    await deliver(monitored, after_seconds=40)
    samples = await monitored.scrape()
    assert samples[key("syncd_attempts_total", api="berlin", outcome="delivered")] == 1

    def hop(name: str) -> float:
        assert samples[key("syncd_reply_latency_seconds_count", api="berlin", hop=name)] == 1
        return samples[key("syncd_reply_latency_seconds_sum", api="berlin", hop=name)]

    intake = samples[key("syncd_reply_intake_seconds_sum", system="desk")]
    hops = [intake, hop("taken_in_to_sent"), hop("sent_to_answered")]
    assert 39 <= hops[0] <= 45
    assert max(hops[1:]) < 5
    assert hop("written_to_delivered") == pytest.approx(sum(hops))
    assert samples[key("syncd_reply_intake_seconds_bucket", system="desk", le="15.0")] == 0
    assert samples[key("syncd_reply_intake_seconds_bucket", system="desk", le="60.0")] == 1
    assert samples[key("syncd_sweeps_total", system="desk", result="good")] == 2
    assert samples[key("syncd_system_requests_total", system="desk", answer="2xx")] > 0
    assert samples[key("syncd_database_commit_seconds_count")] > 0
    assert samples[key("syncd_system_last_success_timestamp_seconds", system="desk")] == pytest.approx(
        monitored.world.clock.now().timestamp(), abs=10
    )


async def test_what_waits_and_stands_is_shown(monitored) -> None:
    """A paused api has what waits for it, since when it is due, and its cause; what is parked and suspended counts."""
    world = monitored.world
    now = world.clock.now()
    await world.database.write(lambda c: health.pause_api(c, "berlin", PauseCause.PERSON, "maintenance", now))
    await deliver(monitored)
    await world.pass_time(600)
    samples = await monitored.scrape()
    assert samples[key("syncd_deliveries", api="berlin", state="pending")] == 1
    assert samples[key("syncd_deliveries", api="hamburg", state="pending")] == 0
    assert 600 <= samples[key("syncd_oldest_due_seconds", api="berlin")] < 700
    assert samples[key("syncd_api_paused", api="berlin", cause="person")] == 1
    assert samples[key("syncd_api_paused", api="berlin", cause="key")] == 0
    assert samples[key("syncd_links", system="desk", state="active")] == 1
    assert samples[key("syncd_owned", kind="api", name="berlin")] == 1
    assert samples[key("syncd_database_up")] == 1


async def test_each_outcome_is_counted(monitored) -> None:
    """What an attempt came to is a counter of its own; only what was delivered has a latency."""
    plans = {
        Outcome.MESSAGE_AT_FAULT: refusal(400),
        Outcome.IN_DOUBT: Break.APPLY_THEN_CLOSE,
        Outcome.THROTTLED: Break.THROTTLE,
    }
    for plan in plans.values():
        monitored.world.sandbox.plan(plan)
        await deliver(monitored)
    samples = await monitored.scrape()
    for outcome in plans:
        assert samples[key("syncd_attempts_total", api="berlin", outcome=outcome.value)] == 1
    assert key("syncd_reply_latency_seconds_count", api="berlin", hop="written_to_delivered") not in samples
    for state in ("in_doubt", "parked", "pending"):
        assert samples[key("syncd_deliveries", api="berlin", state=state)] == 1
    assert samples[key("syncd_api_throttled", api="berlin")] == 1


async def test_a_backfilled_reply_says_nothing_about_latency(monitored) -> None:
    """What is an hour old when it is asked for does not look like an hour of delay; its attempt counts."""
    world = monitored.world
    ticket = world.ticket()
    world.helpdesk.customer_reply(ticket.id, TEXT, at=world.clock.now() - timedelta(minutes=30))
    await world.link(ticket)
    await world.sync()
    now = world.clock.now()
    await world.database.write(lambda c: requests.ask(c, RequestKind.BACKFILL, "desk", {}, "anna", now))
    await world.sync(60)
    samples = await monitored.scrape()
    assert samples[key("syncd_attempts_total", api="berlin", outcome="delivered")] == 1
    assert key("syncd_reply_latency_seconds_count", api="berlin", hop="written_to_delivered") not in samples


async def test_a_system_that_fails_is_counted(monitored) -> None:
    """A sweep that has to wait, and the class of what the system answered."""
    monitored.world.helpdesk.faults.fail(503, times=50)
    await monitored.world.sweep()
    samples = await monitored.scrape()
    assert samples[key("syncd_sweeps_total", system="desk", result="later")] == 1
    assert samples[key("syncd_system_requests_total", system="desk", answer="5xx")] > 0
    assert samples[key("syncd_system_failures", system="desk")] == 1


ENUMS = (Outcome, DeliveryState, LinkState, PauseCause, SweepResult, AnswerClass)
WORDS = {"berlin", "hamburg", "desk", "api", "system", "person", "syncd"} | {
    one.value for enum in ENUMS for one in enum
}


async def test_labels_are_names_and_words_of_ours(monitored) -> None:
    """No label is an id, a number or a text of others, so that their number is bounded; nor a name of former days."""
    await deliver(monitored)
    settings = monitored.settings
    monitored.settings = settings.model_copy(update={"api": {"hamburg": settings.api["hamburg"]}})
    await monitored.world.pass_time(2)
    monitored.world.sandbox.plan(refusal(400))
    await deliver(monitored)
    samples = await monitored.scrape()
    ours = {k: v for k, v in samples.items() if k[0].startswith("syncd_") and k[0] != "syncd_build_info"}
    values = {value for _, labels in ours for name, value in labels if name != "le"}
    assert values <= WORDS | set(HOPS) | {ELSEWHERE}
    assert samples[key("syncd_deliveries", api=ELSEWHERE, state="parked")] == 1
    assert not any(name.endswith("_created") for name, _ in samples)


async def test_without_its_database_it_still_tells_what_it_knows(monitored) -> None:
    """A scrape is answered when the database is not; what stands in it is left out, never 0."""
    await monitored.world.database.write(lambda c: c.exec_driver_sql("ALTER TABLE system_state RENAME TO gone"))
    samples = await monitored.scrape()
    assert samples[key("syncd_database_up")] == 0
    assert samples[key("syncd_api_requests_on_the_wire", api="berlin")] == 0
    assert not any(name == "syncd_deliveries" for name, _ in samples)


async def test_many_scrapes_ask_the_database_once(monitored) -> None:
    """Within a second a hundred of them get the same numbers."""
    read, asked = monitored.world.database.backend.read, []

    async def counted(operation):
        asked.append(operation)
        return await read(operation)

    monitored.world.database.backend.read = counted
    await monitored.scrape()
    once = sum("metrics" in one.__module__ or "gauges" in one.__module__ for one in asked)
    for _ in range(20):
        await monitored.scrape()
    assert sum("metrics" in one.__module__ or "gauges" in one.__module__ for one in asked) == once == 1


async def test_it_needs_the_token_from_elsewhere(monitored) -> None:
    """Through a proxy nobody is shown anything without the token, and Prometheus is with it."""
    token = "a-token-for-the-scrape-01234"
    console = ConsoleSettings(listen="127.0.0.1:0", token=token)
    monitored.settings = monitored.settings.model_copy(update={"console": console})
    proxied = {"X-Forwarded-For": "192.0.2.1"}
    assert (await monitored.get("/metrics", **proxied))[0] == 401
    assert (await monitored.get("/metrics", **proxied, Authorization=f"Bearer {token}"))[0] == 200


async def test_open_metrics_are_spoken_too(monitored) -> None:
    """Whoever prefers OpenMetrics gets them, with their end mark."""
    _, text = await monitored.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")


async def test_a_client_that_asks_for_nonsense_gets_the_plain_form(monitored) -> None:
    """What a client says of the versions that it takes cannot fail a scrape."""
    status, text = await monitored.get("/metrics", Accept="text/plain;version=abc")
    assert status == 200
    assert "syncd_build_info" in text


async def test_a_failing_counter_disturbs_nothing(monitored) -> None:
    """What is counted has happened: a commit that cannot be counted is no failed commit."""
    meter = monitored.meter
    for name in ("_attempts", "_commit_seconds", "_sweeps", "_requests"):
        setattr(meter, name, None)
    meter.attempted("berlin", Outcome.DELIVERED, None)
    meter.swept("desk", SweepResult.GOOD, 1.0)
    meter.asked("desk", AnswerClass.GOOD)
    with meter.committing(3):
        done = True
    assert done
