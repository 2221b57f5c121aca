"""The dispatcher of an api, from a full outbox to a sandbox that does what APIs do, in virtual time."""

import itertools
from collections import Counter

import pytest

from syncd.model.health import PauseCause
from syncd.store import health, lists, standing
from syncd.store.standing import Decision, Resolution
from syncd.testing.sandbox_faults import Break, broken_success, redirect, refusal, stranger


async def waiting(world, threads: int = 1, replies: int = 1, **settings) -> None:
    """Put replies into the outbox, with the api held, then let it go."""
    world.tickets = [world.ticket(f"ticket {number}") for number in range(threads)]
    await world.begin(**settings)
    for number, ticket in enumerate(world.tickets):
        await world.link(ticket, thread=100 + number)
    await world.sync()
    for number in range(replies):
        for ticket in world.tickets:
            world.helpdesk.customer_reply(ticket.id, f"{ticket.subject} reply {number}")


async def stored_api(world, name: str = "berlin"):
    """Return the stored health of an api."""
    return await world.database.read(lambda c: health.get_api(c, name))


def decision(world, reason: str = "looked it up") -> Decision:
    """Return who decides, now."""
    return Decision("tester", world.clock.now(), reason)


async def test_every_put_is_an_attempt(world) -> None:
    """The PUTs that the API read are exactly the attempts that are recorded as sent."""
    await waiting(world, threads=5, replies=3)
    await world.sync(60)
    assert len(world.sandbox.communications) == world.sandbox.requests == 15
    deliveries = await world.deliveries(state="delivered")
    full = [await world.database.read(lambda c: lists.find_delivery(c, one.id)) for one in deliveries]  # noqa: B023
    assert [[one.outcome for one in delivery.attempts] for delivery in full] == [["delivered"]] * 15
    ids = {one.communication_id for one in deliveries}
    assert ids == {one.communication_id for one in world.sandbox.communications}


@pytest.mark.parametrize(
    "fault", [Break.APPLY_THEN_CLOSE, Break.APPLY_THEN_HANG, Break.APPLY_THEN_GARBAGE, stranger(502)]
)
async def test_what_may_have_been_applied_is_in_doubt_and_stays_so(world, fault) -> None:
    """A sent request without a usable answer is set aside for a person and never sent again by itself."""
    await waiting(world)
    world.sandbox.plan(fault)
    await world.sync(700)
    await world.sync(700)
    assert world.sandbox.requests == 1
    full = await world.only_delivery()
    assert full.item.state == "in_doubt"
    assert [(one.outcome, one.reached) for one in full.attempts] in (
        [("in_doubt", "writing")],
        [("in_doubt", "answered")],
    )


async def test_a_doubt_does_not_hold_the_thread_unless_order_is_strict(world) -> None:
    """With relaxed order the next reply goes; with strict order it waits until a person has decided."""
    await waiting(world, replies=2)
    world.sandbox.plan(Break.APPLY_THEN_CLOSE)
    await world.sync(60)
    assert await world.states() == {"in_doubt": 1, "delivered": 1}


async def test_strict_order_waits_for_the_decision(world) -> None:
    """Resolved as delivered, the thread goes on with what waited behind the doubt."""
    await waiting(world, replies=2, api_order="strict")
    world.sandbox.plan(Break.APPLY_THEN_CLOSE)
    await world.sync(600)
    assert await world.states() == {"in_doubt": 1, "pending": 1}
    (doubt,) = await world.deliveries(state="in_doubt")
    by = decision(world)
    await world.database.write(lambda c: standing.resolve(c, doubt.id, Resolution.DELIVERED, by))
    await world.pass_time(10)
    assert await world.states() == {"delivered": 2}
    assert world.sandbox.requests == 2


async def test_what_strict_order_held_goes_once_it_is_strict_no_more(world) -> None:
    """A changed setting lets go what the old one held back; nobody has to touch the thread."""
    await waiting(world, replies=2, api_order="strict")
    world.sandbox.plan(Break.APPLY_THEN_CLOSE)
    await world.sync(600)
    await world.end()
    await world.begin()
    await world.pass_time(10)
    assert await world.states() == {"in_doubt": 1, "delivered": 1}


@pytest.mark.parametrize(
    ("policy", "sent", "state"),
    [("hold", 1, "in_doubt"), ("resend", 2, "delivered"), ("assume_delivered", 1, "delivered")],
)
async def test_the_policy_decides_what_becomes_of_a_doubt(world, policy, sent, state) -> None:
    """Held, sent once more, or assumed to be delivered, as the api is configured."""
    await waiting(world, api_in_doubt=policy)
    world.sandbox.plan(Break.APPLY_THEN_CLOSE)
    await world.sync(60)
    assert world.sandbox.requests == sent
    assert (await world.only_delivery()).item.state == state


async def test_resend_resends_once_and_then_holds(world) -> None:
    """A second doubt of the same delivery is held, whatever the policy."""
    await waiting(world, api_in_doubt="resend")
    world.sandbox.plan(Break.APPLY_THEN_CLOSE, times=2)
    await world.sync(700)
    assert world.sandbox.requests == 2
    assert (await world.only_delivery()).item.state == "in_doubt"


async def test_a_2xx_is_never_turned_back(world) -> None:
    """A 200 whose body breaks the contract is delivered, with a flag, and not sent again."""
    await waiting(world)
    world.sandbox.plan(broken_success())
    await world.sync(700)
    full = await world.only_delivery()
    assert full.item.state == "delivered"
    assert full.item.flags == "answer_breaks_contract"
    assert world.sandbox.requests == 1


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_message_at_fault_is_parked_and_the_thread_flows_on(world, status) -> None:
    """What the API refuses for what it says is set aside with the API's words; the next reply goes."""
    await waiting(world, replies=2)
    world.sandbox.plan(refusal(status, "content too long"))
    await world.sync(60)
    assert await world.states() == {"parked": 1, "delivered": 1}
    (parked,) = await world.deliveries(state="parked")
    assert "content too long" in parked.reason
    assert world.sent() == ["ticket 0 reply 1"]


async def test_a_parked_delivery_can_be_retried(world) -> None:
    """`retry` queues it again, with the decision written down."""
    await waiting(world)
    world.sandbox.plan(refusal(400))
    await world.sync(60)
    (parked,) = await world.deliveries(state="parked")
    by = decision(world, "the API was mended")
    await world.database.write(lambda c: standing.retry(c, parked.id, by))
    await world.pass_time(10)
    full = await world.only_delivery()
    assert full.item.state == "delivered"
    assert [one.reason for one in full.attempts] == ["schedule", "manual"]
    assert [(who, action, reason) for _, who, action, reason in full.decisions] == [
        ("tester", "retry", "the API was mended")
    ]


async def test_a_refused_thread_waits_in_order_and_is_tried_again_slowly(world) -> None:
    """A 404 suspends the link; its deliveries wait; the slow retry delivers them in order once it is mended."""
    await waiting(world, replies=2)
    world.sandbox.threads = [(7, 999)]
    await world.sync(60)
    assert world.sandbox.requests == 1
    link = await world.get_link(1)
    assert (link.state, link.cause) == ("suspended", "thread_refused")
    world.sandbox.threads = None
    await world.pass_time(35 * 60)
    assert world.sent() == ["ticket 0 reply 0", "ticket 0 reply 1"]
    assert (await world.get_link(1)).state == "active"


async def test_three_refused_threads_in_a_row_pause_the_api(world) -> None:
    """It is about the api then: links are put back, one delivery is tried now and then, and it recovers by itself."""
    await waiting(world, threads=8)
    world.sandbox.threads = []
    await world.sync(60)
    state = await stored_api(world)
    assert state.paused_cause is PauseCause.THREADS
    assert {(await world.get_link(number + 1)).state for number in range(8)} == {"active"}
    tried = world.sandbox.requests
    assert tried <= 6
    await world.pass_time(20 * 60)
    assert world.sandbox.requests - tried <= 4
    world.sandbox.threads = None
    await world.pass_time(10 * 60)
    assert Counter(world.sent()) == Counter(f"ticket {number} reply 0" for number in range(8))
    assert (await stored_api(world)).paused_cause is None


async def test_a_refused_key_pauses_at_once_and_recovers_by_head(world) -> None:
    """A 401 stops the api; nothing is sent until HEAD says that the key is good."""
    await waiting(world, threads=6)
    world.sandbox.plan(refusal(401), times=4)
    await world.sync(20)
    assert (await stored_api(world)).paused_cause is PauseCause.KEY
    sent = world.sandbox.requests
    assert sent <= 4
    await world.pass_time(120)
    assert (await stored_api(world)).paused_cause is None
    assert await world.states() == {"delivered": 6}
    assert len(world.sent()) == 6


@pytest.mark.parametrize("fault", [redirect("https://elsewhere.example/"), stranger(404), stranger(403)])
async def test_what_is_not_the_apis_answer_pauses_until_a_person_resumes(world, fault) -> None:
    """A redirect or a web page pauses the api, is never followed, and no retry is made before `apis resume`."""
    await waiting(world)
    world.sandbox.plan(fault)
    await world.sync(60)
    assert (await stored_api(world)).paused_cause is PauseCause.NOT_THE_API
    await world.pass_time(1200)
    assert world.sandbox.requests == 1
    await world.database.write(lambda c: health.resume_api(c, "berlin"))
    await world.pass_time(20)
    assert await world.states() == {"delivered": 1}


async def test_throttled_waits_a_full_minute_and_does_not_advance_the_schedule(world) -> None:
    """After a 429 nothing is sent for sixty seconds, over a restart too, and no failure is counted."""
    await waiting(world)
    world.sandbox.plan(Break.THROTTLE)
    await world.sync(5)
    assert world.sandbox.requests == 1
    await world.end()
    await world.begin()
    await world.pass_time(40)
    assert world.sandbox.requests == 1
    await world.pass_time(120)
    assert await world.states() == {"delivered": 1}
    full = await world.only_delivery()
    assert next(one.outcome for one in full.attempts) == "throttled"


async def test_an_admitted_failure_is_retried_by_the_schedule(world) -> None:
    """A 503 in the contract's words is retried after 5 s, 30 s, 2 min, 5 min; jitter only adds."""
    await waiting(world)
    world.sandbox.plan(refusal(503), times=4)
    await world.sync(700)
    full = await world.only_delivery()
    assert full.item.state == "delivered"
    at = [one.started_at for one in full.attempts]
    waits = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(at)]
    for waited, least in zip(waits, (5, 30, 120, 300), strict=True):
        assert least <= waited <= least * 1.1 + 3


async def test_a_500_is_held_where_it_is_not_believed(world) -> None:
    """With `on_500 = "hold"` an admitted failure is in doubt."""
    await waiting(world, api_on_500="hold")
    world.sandbox.plan(refusal(500))
    await world.sync(700)
    assert (await world.only_delivery()).item.state == "in_doubt"


async def test_an_unreachable_api_is_one_timer_not_a_thousand(world) -> None:
    """With the server gone, a hundred waiting deliveries cost a few connections, and all arrive once it is back."""
    await waiting(world, threads=100)
    _host, port = world.sandbox.base_url.rpartition(":")[::2]
    await world.sandbox.stop()
    await world.sync(700)
    attempts = sum(one.attempts for one in await world.deliveries())
    assert 3 <= attempts <= 25
    await world.sandbox.start(port=int(port))
    await world.pass_time(1200)
    assert await world.states() == {"delivered": 100}
    assert world.sandbox.requests == 100


async def test_a_hanging_api_puts_a_handful_in_doubt(world) -> None:
    """When nothing answers, an hour costs a few doubts, not a thousand."""
    await waiting(world, threads=200)
    world.sandbox.plan(Break.HANG, times=1000)
    await world.sync(700)
    states = await world.states()
    assert states["pending"] >= 175
    assert 1 <= states["in_doubt"] <= 25


async def test_the_pace_is_never_above_the_limit(world) -> None:
    """In no sixty seconds does the API see more requests than its limit, so it never answers 429."""
    await waiting(world, threads=450, api_requests_per_minute=270)
    await world.sync(300)
    times = sorted(one.received_at for one in world.sandbox.communications)
    assert len(times) == 450
    for index, begin in enumerate(times):
        inside = sum(1 for later in times[index:] if (later - begin).total_seconds() < 60)
        assert inside <= 270 + 25
    took = (times[-1] - times[0]).total_seconds()
    assert took <= 450 / 270 * 60 * 1.1


async def test_a_held_api_sends_nothing_until_it_is_released(world) -> None:
    """With `mode = "hold"` everything is polled and listed, and leaves only after `apis release`."""
    await waiting(world, threads=2, api_mode="hold")
    await world.sync(700)
    assert world.sandbox.requests == 0
    assert await world.states() == {"pending": 2}
    now = world.clock.now()
    await world.database.write(lambda c: health.release_api(c, "berlin", now))
    await world.pass_time(60)
    assert await world.states() == {"delivered": 2}


async def test_a_person_pauses_and_resumes_an_api(world) -> None:
    """Paused by hand nothing leaves; the other apis go on."""
    now = world.clock.now()
    await waiting(world)
    await world.database.write(lambda c: health.pause_api(c, "berlin", PauseCause.PERSON, "maintenance", now))
    other = world.ticket("other")
    await world.link(other, thread=900, api="hamburg")
    await world.sync()
    world.helpdesk.customer_reply(other.id, "to hamburg")
    await world.sync(60)
    assert world.sent() == ["to hamburg"]
    await world.database.write(lambda c: health.resume_api(c, "berlin"))
    await world.pass_time(10)
    assert world.sent() == ["to hamburg", "ticket 0 reply 0"]


async def test_a_clean_stop_leaves_nothing_in_doubt(world) -> None:
    """Stopping waits for the requests on the wire and their outcomes."""
    await waiting(world, threads=20)
    await world.sweep()
    await world.pass_time(0.2)
    await world.end()
    await world.begin()
    assert "in_doubt" not in await world.states()
    await world.sync(60)
    assert Counter(world.sent()) == Counter(f"ticket {number} reply 0" for number in range(20))
