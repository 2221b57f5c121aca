"""The sandbox holds every rule of the contract and fails as it is told to."""

import asyncio
import json

import aiohttp
import pytest
from pydantic import SecretStr

from syncd.delivery.api import KeyState, OpenApi
from syncd.delivery.decide import judge
from syncd.model.api_error import parse_api_error
from syncd.model.communication import Thread
from syncd.model.delivery import Outcome
from syncd.model.policy import On500
from syncd.testing.sandbox import Sandbox
from syncd.testing.sandbox_faults import Break, broken_success, parse_fault, redirect, refusal, stranger

THREAD = Thread("berlin", 1, 2)
FIELDS = {
    "communicationThreadStatus": "ONGOING",
    "subject": "s",
    "content": "c",
    "communicationDirection": "INCOMING",
    "communicationChannel": "EMAIL",
}
BODY = json.dumps(FIELDS).encode()
KEYS = {"key-b": "berlin", "key-h": "hamburg"}


async def ready() -> None:
    """Have nothing to do before the body."""


@pytest.fixture
async def sandbox(clock):
    """A sandbox with two studios under virtual time."""
    async with Sandbox(KEYS, clock=clock, requests_per_minute=5) as running:
        yield running


class Client:
    """Sends to a sandbox as syncd does, and judges as syncd does."""

    def __init__(self, sandbox: Sandbox, clock, key: str = "key-b") -> None:
        self.api = OpenApi(sandbox.base_url, SecretStr(key), clock=clock, timeout_seconds=5)

    async def put(self, body: bytes = BODY, thread: Thread = THREAD):
        """Return the verdict of one PUT."""
        return judge(await self.api.put(thread, body, ready), thread, On500.RETRY)


@pytest.fixture
async def client(sandbox, clock):
    """A client with the key of Berlin."""
    made = Client(sandbox, clock)
    yield made
    await made.api.close()


async def test_what_is_right_is_added_in_order(sandbox, client, clock):
    """Each PUT adds a communication with the next id, kept with studio, thread and time."""
    seen = []
    sandbox.on_communication = seen.append
    first = await client.put()
    second = await client.put(thread=Thread("berlin", 3, 4))
    assert (first.communication_id, second.communication_id) == (1, 2)
    assert [(one.studio, one.customer_id, one.thread_id) for one in sandbox.communications] == [
        ("berlin", 1, 2),
        ("berlin", 3, 4),
    ]
    assert sandbox.communications[0].body == FIELDS
    assert abs((sandbox.communications[0].received_at - clock.now()).total_seconds()) < 5
    assert seen == sandbox.communications
    assert sandbox.requests == 2


async def test_the_same_again_is_added_again(sandbox, client):
    """Like the API, the sandbox knows no idempotency."""
    await client.put()
    await client.put()
    assert len(sandbox.communications) == 2


@pytest.mark.parametrize(
    ("change", "reference"),
    [
        ({"subject": None}, "subject"),
        ({"content": 5}, "content"),
        ({"content": ["c"]}, "content"),
        ({"subject": "  "}, "subject"),
        ({"content": ""}, "content"),
        ({"content": "a\u0000b"}, "content"),
        ({"content": "a\u001bb"}, "content"),
        ({"content": "a\ud800b"}, "content"),
        ({"communicationThreadStatus": "OPEN"}, "communicationThreadStatus"),
        ({"communicationDirection": "incoming"}, "communicationDirection"),
        ({"communicationChannel": "SMS"}, "communicationChannel"),
        ({"agent": None}, "agent"),
        ({"ticketNumber": 5}, "ticketNumber"),
        ({"ticketLink": {}}, "ticketLink"),
        ({"communicationDateTime": "2022-06-22"}, "communicationDateTime"),
        ({"communicationDateTime": "2022-02-30T08:00:00Z"}, "communicationDateTime"),
        ({"communicationDateTime": "2022-06-22T08:00:00+02:00[Europe/Nowhere]"}, "communicationDateTime"),
        ({"communicationDateTime": "2022-06-22T08:00:00+01:00[Europe/Berlin]"}, "communicationDateTime"),
        ({"communicationDateTime": "2025-03-30T02:30:00+01:00[Europe/Berlin]"}, "communicationDateTime"),
        ({"communicationDateTime": "2022-06-22T08:00:00+02:00[Europe]"}, "communicationDateTime"),
        ({"extra": "x"}, "extra"),
        ({"Subject": "x"}, "Subject"),
    ],
)
async def test_a_broken_rule_is_named(sandbox, client, change, reference):
    """A field that breaks the contract is refused with 400 and named."""
    verdict = await client.put(json.dumps(FIELDS | change).encode())
    assert verdict.outcome is Outcome.MESSAGE_AT_FAULT
    assert verdict.error.reference == reference
    assert sandbox.communications == []


@pytest.mark.parametrize("missing", FIELDS)
async def test_each_required_field_is_required(sandbox, client, missing):
    """Left out, it is refused and named."""
    verdict = await client.put(json.dumps({name: FIELDS[name] for name in FIELDS if name != missing}).encode())
    assert verdict.outcome is Outcome.MESSAGE_AT_FAULT
    assert verdict.error.reference == missing


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"{", b"\xff", BODY[:-1] + b',"subject":"t"}', b"[" * 100_000, b'{"subject": NaN}'],
)
async def test_what_is_no_object_of_json_is_refused(sandbox, client, data):
    """Broken JSON, broken UTF-8 and repeated fields are refused with 400."""
    assert (await client.put(data)).outcome is Outcome.MESSAGE_AT_FAULT
    assert sandbox.communications == []


@pytest.mark.parametrize(
    "times",
    ["2025-10-26T02:30:00+02:00[Europe/Berlin]", "2025-10-26T02:30:00.5+01:00[Europe/Berlin]", "2022-06-22T08:00:00Z"],
)
async def test_times_that_exist_are_taken(client, times):
    """Both of the hours that come twice, and a time without a zone's name."""
    body = json.dumps(FIELDS | {"communicationDateTime": times}).encode()
    assert (await client.put(body)).outcome is Outcome.DELIVERED


async def test_a_wrong_key_is_refused(sandbox, clock):
    """An unknown key gets 401 for HEAD and PUT, and nothing is added."""
    client = Client(sandbox, clock, "nobody")
    assert await client.api.probe() is KeyState.REFUSED
    assert (await client.put()).outcome is Outcome.KEY_AT_FAULT
    await client.api.close()
    assert sandbox.communications == []


async def test_a_good_key_is_found_good(client):
    """HEAD answers 200."""
    assert await client.api.probe() is KeyState.GOOD


async def test_without_keys_each_key_is_a_studio(clock):
    """Any key that is not empty will do, and its name does not show the key."""
    async with Sandbox(clock=clock) as sandbox:
        for key in ("secret-one", "secret-two"):
            client = Client(sandbox, clock, key)
            assert (await client.put()).outcome is Outcome.DELIVERED
            await client.api.close()
    studios = [one.studio for one in sandbox.communications]
    assert len(set(studios)) == 2
    assert not any("secret" in studio for studio in studios)


async def test_unknown_threads_and_foreign_customers_are_refused(clock):
    """A thread that does not exist gets 404, a customer of another studio 403."""
    threads = {(1, 2), (7, 2)}
    async with Sandbox(KEYS, clock=clock, threads=threads, customers={1: "berlin", 7: "hamburg"}) as sandbox:
        client = Client(sandbox, clock)
        assert (await client.put()).outcome is Outcome.DELIVERED
        unknown = await client.put(thread=Thread("berlin", 1, 3))
        foreign = await client.put(thread=Thread("berlin", 7, 2))
        await client.api.close()
    assert unknown.outcome is foreign.outcome is Outcome.THREAD_AT_FAULT
    assert "404" in unknown.message
    assert foreign.error.code == "errormessage.permission.denied"
    assert len(sandbox.communications) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/communications/1/threads/2", 405),
        ("POST", "/v1/communications/1/threads/2", 405),
        ("PUT", "/v1/communications/1/threads", 404),
        ("PUT", "/v1/communications/x/threads/2", 400),
        ("PUT", "/v1/communications/1/threads/-2", 400),
        ("PUT", f"/v1/communications/1/threads/{2**63}", 400),
        ("PUT", "/v1/communications/1/threads/2/", 404),
    ],
)
async def test_other_methods_and_paths_are_refused_in_the_apis_words(sandbox, method, path, status):
    """Nothing but the contract's PUT with 64-bit ids is taken."""
    headers = {"x-api-key": "key-b"}
    async with aiohttp.request(method, sandbox.base_url + path, json=FIELDS, headers=headers) as response:
        assert response.status == status
        assert parse_api_error(await response.read()) is not None
    assert sandbox.communications == []


async def test_another_media_type_is_refused(sandbox):
    """The body must say that it is JSON."""
    headers = {"x-api-key": "key-b", "Content-Type": "text/plain"}
    async with aiohttp.request("PUT", sandbox.base_url + THREAD.path, data=BODY, headers=headers) as response:
        assert response.status == 415


async def test_past_the_limit_the_next_minute_is_denied(sandbox, client, clock):
    """The request that goes past the limit and all of the next minute get 429; then it goes on."""
    for _ in range(5):
        assert (await client.put()).outcome is Outcome.DELIVERED
    assert (await client.put()).outcome is Outcome.THROTTLED
    await clock.sleep(55)
    assert (await client.put()).outcome is Outcome.THROTTLED
    await clock.sleep(6)
    assert (await client.put()).outcome is Outcome.DELIVERED
    assert len(sandbox.communications) == 6


async def test_each_key_has_its_own_limit(sandbox, client, clock):
    """One studio's penalty is not another's."""
    for _ in range(6):
        await client.put()
    other = Client(sandbox, clock, "key-h")
    assert (await other.put()).outcome is Outcome.DELIVERED
    await other.api.close()


async def test_the_pace_that_is_allowed_is_never_denied(sandbox, client, clock):
    """Five a minute, evenly, go on for ever."""
    for _ in range(20):
        assert (await client.put()).outcome is Outcome.DELIVERED
        await clock.sleep(12.1)


@pytest.mark.parametrize(
    ("fault", "outcome", "added"),
    [
        (refusal(500), Outcome.REFUSED_FOR_NOW, 0),
        (refusal(409), Outcome.THREAD_AT_FAULT, 0),
        (refusal(500, applied=True), Outcome.REFUSED_FOR_NOW, 1),
        (stranger(503), Outcome.IN_DOUBT, 0),
        (stranger(502, applied=True), Outcome.IN_DOUBT, 1),
        (stranger(404), Outcome.NOT_THE_API, 0),
        (redirect("/elsewhere"), Outcome.NOT_THE_API, 0),
        (broken_success(), Outcome.DELIVERED, 1),
        (Break.CLOSE_BEFORE_READING, Outcome.IN_DOUBT, 0),
        (Break.CLOSE_AFTER_READING, Outcome.IN_DOUBT, 0),
        (Break.APPLY_THEN_CLOSE, Outcome.IN_DOUBT, 1),
        (Break.HANG, Outcome.IN_DOUBT, 0),
        (Break.APPLY_THEN_HANG, Outcome.IN_DOUBT, 1),
        (Break.GARBAGE, Outcome.IN_DOUBT, 0),
        (Break.APPLY_THEN_GARBAGE, Outcome.IN_DOUBT, 1),
        (Break.THROTTLE, Outcome.THROTTLED, 0),
    ],
    ids=str,
)
async def test_a_planned_fault_is_met_once(sandbox, client, clock, fault, outcome, added):
    """The next PUT meets the fault, with or without effect as it says, and the one after it is answered right."""
    sandbox.plan(fault)
    assert (await client.put()).outcome is outcome
    assert len(sandbox.communications) == added
    assert sandbox.planned == 0
    await clock.sleep(61)
    assert (await client.put()).outcome is Outcome.DELIVERED
    assert len(sandbox.communications) == added + 1


def test_the_table_knows_every_break():
    """A fault that is added is tried."""
    cases = test_a_planned_fault_is_met_once.pytestmark[0].args[1]
    assert {case[0] for case in cases if isinstance(case[0], Break)} == set(Break)


async def test_plans_are_carried_out_in_order(sandbox, client):
    """Several plans, each as often as it was asked for."""
    sandbox.plan(refusal(500), times=2)
    sandbox.plan(stranger(502))
    outcomes = [(await client.put()).outcome for _ in range(4)]
    assert outcomes == [Outcome.REFUSED_FOR_NOW, Outcome.REFUSED_FOR_NOW, Outcome.IN_DOUBT, Outcome.DELIVERED]


async def test_stopping_ends_what_hangs(clock):
    """A sandbox with a hanging request stops."""
    sandbox = Sandbox(clock=clock)
    await sandbox.start()
    added = asyncio.Event()
    sandbox.on_communication = lambda _: added.set()
    sandbox.plan(Break.APPLY_THEN_HANG)
    client = Client(sandbox, clock)
    waiting = asyncio.create_task(client.put())
    await added.wait()
    await sandbox.stop()
    assert (await waiting).outcome is Outcome.IN_DOUBT
    await client.api.close()


async def test_a_sandbox_starts_again(clock):
    """Stopped and started, it goes on with what it had."""
    sandbox = Sandbox(clock=clock)
    for _ in range(2):
        await sandbox.start()
        client = Client(sandbox, clock)
        assert (await client.put()).outcome is Outcome.DELIVERED
        await client.api.close()
        await sandbox.stop()
    assert [one.communication_id for one in sandbox.communications] == [1, 2]


async def test_it_prints_nothing(sandbox, client, capfd, caplog):
    """Contents reach neither the terminal nor the log, and no repr."""
    await client.put(json.dumps(FIELDS | {"content": "private words"}).encode())
    await client.put(b"private words")
    captured = capfd.readouterr()
    assert "private" not in captured.out + captured.err + caplog.text + repr(sandbox.communications)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hang", Break.HANG),
        ("Apply_then_close", Break.APPLY_THEN_CLOSE),
        ("503", refusal(503)),
        ("bare 503", stranger(503)),
        ("redirect", redirect("/elsewhere")),
    ],
)
def test_faults_can_be_typed(text, fault):
    """A person names a fault in words."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["", "explode", "bare", "bare x", "100", "999", "5\u06600", "not bare 500"])
def test_an_unknown_fault_is_refused_with_what_there_is(text):
    """The message lists the faults."""
    with pytest.raises(ValueError, match="apply then close"):
        parse_fault(text)
