"""What syncd sends and what its sandbox answers, held against the contract in openapi.yaml."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from syncd.delivery.api import OpenApi
from syncd.delivery.decide import judge
from syncd.model.communication import Channel, Direction, Message, Thread, ThreadStatus, thread_update
from syncd.model.delivery import Outcome
from syncd.model.policy import On500
from syncd.model.typed_arg import TypedArgType
from syncd.testing.sandbox import Sandbox
from syncd.testing.sandbox_faults import error_body
from syncd.testing.sandbox_rules import REQUIRED, ZONED_TIME, Violation, parse_body

CONTRACT = yaml.safe_load((Path(__file__).parent / "openapi.yaml").read_text())
SCHEMAS = CONTRACT["components"]["schemas"]
ZONES = ["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Etc/GMT+12", "UTC"]


@cache
def validator(name: str) -> jsonschema.Draft4Validator:
    """Return the validator of one schema of the contract (OpenAPI 3.0 is close to draft 4)."""
    return jsonschema.Draft4Validator({"$ref": f"#/components/schemas/{name}", "components": CONTRACT["components"]})


# Texts as the mapping leaves them: any character but controls and surrogates, with line breaks and tabs.
CHARACTERS = st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\t")
TEXT = st.text(CHARACTERS, min_size=1).filter(str.strip)
LINE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")))
MESSAGES = st.builds(
    Message,
    subject=LINE.filter(str.strip),
    content=TEXT,
    direction=st.sampled_from(Direction),
    channel=st.sampled_from(Channel),
    occurred_at=st.datetimes(timezones=st.just(UTC)),
    agent=st.none() | LINE,
    ticket_number=st.none() | LINE,
    ticket_link=st.none() | LINE,
)


@settings(deadline=None)
@given(MESSAGES, st.sampled_from(ThreadStatus), st.sampled_from(ZONES))
def test_every_body_keeps_the_contract(message, status, zone):
    """Whatever a message holds, its body is valid, survives JSON, and is accepted by the sandbox's rules."""
    body = thread_update(message, status, ZoneInfo(zone))
    validator("Communication").validate(body)
    assert body.keys() <= SCHEMAS["Communication"]["properties"].keys()
    data = json.dumps(body, ensure_ascii=False).encode()
    assert parse_body(data) == body


@settings(deadline=None)
@given(st.integers(0, 8760 * 4), st.sampled_from(ZONES))
def test_every_quarter_of_an_hour_of_a_year_is_a_time_that_exists(quarters, zone):
    """Around daylight-saving changes too, the sandbox finds offset and zone in agreement."""
    instant = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * quarters)
    message = Message("s", "c", Direction.INCOMING, Channel.OTHER, instant)
    body = thread_update(message, ThreadStatus.ONGOING, ZoneInfo(zone))
    assert parse_body(json.dumps(body).encode()) == body


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*SCHEMAS["Communication"]["properties"], "extra"]),
        st.sampled_from(["ONGOING", "INCOMING", "EMAIL", "text", "", "2022-06-22T08:00:00Z"])
        | st.none()
        | st.integers(),
    )
)
def test_the_sandbox_is_as_strict_as_the_contract(body):
    """What the contract refuses, the sandbox refuses."""
    try:
        parse_body(json.dumps(body).encode())
    except Violation:
        return
    validator("Communication").validate(body)
    assert "extra" not in body


def test_the_words_of_the_code_are_the_contracts():
    """Enums, required fields, typed arguments and the form of times are the same in code and contract."""
    assert [status.value for status in ThreadStatus] == SCHEMAS["Status"]["enum"]
    assert [direction.value for direction in Direction] == SCHEMAS["Direction"]["enum"]
    assert [channel.value for channel in Channel] == SCHEMAS["Channel"]["enum"]
    assert list(REQUIRED) == SCHEMAS["Communication"]["required"]
    types = SCHEMAS["Refusal"]["properties"]["typedArgs"]["items"]["properties"]["type"]["enum"]
    assert [kind.value for kind in TypedArgType] == types


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("2022-06-22T08:00:00.000+02:00[Europe/Berlin]", True),
        ("2022-06-22T08:00:00Z", True),
        ("2022-06-22T08:00:00.123456789+02:00", True),
        ("2022-06-22T08:00+02:00", False),
        ("2022-06-22 08:00:00+02:00", False),
        ("2022-06-22T08:00:00", False),
        ("2022-06-22T08:00:00+02:00[Europe Berlin]", False),
        ("1850-01-01T00:53:28.000+00:53:28[Europe/Berlin]", False),
    ],
)
def test_both_have_the_same_form_of_times(text, good):
    """The sandbox's pattern and the contract's agree."""
    schema = SCHEMAS["Communication"]["properties"]["communicationDateTime"]
    assert jsonschema.Draft4Validator(schema).is_valid(text) is good
    assert (ZONED_TIME.fullmatch(text) is not None) is good


def test_the_error_body_of_the_sandbox_keeps_the_contract():
    """With and without its optional fields."""
    validator("Refusal").validate(json.loads(error_body("no")))
    validator("Refusal").validate(json.loads(error_body("no", code="a", reference="b.c", trace_id="d")))


async def test_what_the_sandbox_answers_keeps_the_contract(clock):
    """Its 200 and its refusals are valid, and the one who reads them finds nothing to flag."""
    message = Message("s", "c", Direction.OUTGOING, Channel.CHAT, clock.now(), agent="Ada", ticket_number="A1")
    body = thread_update(message, ThreadStatus.CLOSED, ZoneInfo("Europe/Berlin"))
    async with Sandbox({"k": "berlin"}, clock=clock) as sandbox, aiohttp.ClientSession() as session:
        url = sandbox.base_url + Thread("berlin", 5, 6).path
        async with session.put(url, json=body, headers={"x-api-key": "k"}) as response:
            validator("Added").validate(await response.json())
        for method, key, sent in (("PUT", "k", {}), ("PUT", "no", body), ("GET", "k", body)):
            async with session.request(method, url, json=sent, headers={"x-api-key": key}) as response:
                assert response.status >= 400
                validator("Refusal").validate(await response.json())


async def test_a_body_goes_through_whole(clock):
    """What is sent through the client arrives in the sandbox letter by letter."""

    async def ready() -> None:
        pass

    text = "Grüße 👋🏽 \u202b\u05e9\u05dc\u202c\n\tzeile 2 \"'\\ </script>"
    message = Message(text, text, Direction.INCOMING, Channel.EMAIL, clock.now())
    body = thread_update(message, ThreadStatus.ONGOING, ZoneInfo("Europe/Berlin"))
    thread = Thread("berlin", 5, 6)
    async with Sandbox(clock=clock) as sandbox:
        api = OpenApi(sandbox.base_url, SecretStr("k"), clock=clock)
        verdict = judge(await api.put(thread, json.dumps(body).encode(), ready), thread, On500.RETRY)
        await api.close()
    assert (verdict.outcome, verdict.communication_id, verdict.flags) == (Outcome.DELIVERED, 1, ())
    assert sandbox.communications[0].body == body
