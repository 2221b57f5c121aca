"""Whatever is sent as a webhook: tickets, a named failure, or nothing; no traceback, and no pass without proof."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from syncd.sources.registry import load_adapter
from syncd.sources.webhook import Forged, HookRequest, Unreadable, Webhook
from syncd.sources.webhook_proofs import SECRET_HEADER, SharedSecret
from tests.fuzz.adapters import NAMES
from tests.fuzz.material import ANY_CHARACTER, ODD_TIMES, SCALARS, TEXTS, deep, json_values
from tests.fuzz.runs import fuzz

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET = SecretStr("fuzzed-webhooks-secret")
KEYS = st.sampled_from(
    ("ticket_id", "ticket_number", "id", "type", "detail", "issue", "data", "item", "items_id", "parent_item",
     "payload", "conversation", "ticket", "TicketID", "Ticket", "Event", "eventType", "ticketId", "subscriptionType",
     "objectTypeId", "objectId", "sys_id", "Id", "freshdesk_webhook"),
)  # fmt: skip
WORDS = st.sampled_from(
    ("zen:event-type:ticket.x", "ticket", "conversation", "Ticket_Add", "ticket.creation", "0-5", "7")
)
BODIES = st.one_of(
    json_values(KEYS).map(json.dumps).map(str.encode),
    st.dictionaries(KEYS, SCALARS | WORDS | st.dictionaries(KEYS, SCALARS | WORDS, max_size=3), max_size=4)
    .map(json.dumps)
    .map(str.encode),
    st.binary(max_size=40),
    TEXTS.map(lambda text: text.encode(errors="surrogatepass")),
)
NAMES_OF_HEADERS = st.sampled_from(
    ("x-hub-signature", "x-zendesk-webhook-signature", "x-zendesk-webhook-signature-timestamp", "x-front-signature",
     "x-front-request-timestamp", "x-hubspot-signature-v3", "x-hubspot-request-timestamp", "x-helpscout-signature",
     "x-helpscout-event", "x-redmine-signature-256", "x-glpi-signature", "x-glpi-timestamp", "authorization",
     "x-syncd-secret"),
)  # fmt: skip
VALUES = st.one_of(
    ODD_TIMES,
    st.text(ANY_CHARACTER, max_size=30),
    st.sampled_from(("sha1=", "sha256=00", "Basic Og==", "Basic", "Bearer ", "Bearer x", "1772442000000", "AAAA=")),
)
HEADERS = st.dictionaries(NAMES_OF_HEADERS, VALUES, max_size=6)


def webhook_of(name: str) -> Webhook:
    """Return the webhooks of an adapter."""
    webhook = load_adapter(name).webhook
    assert webhook is not None
    return webhook


@pytest.mark.parametrize("name", NAMES)
@fuzz(3)
@given(headers=HEADERS, body=BODIES, address=TEXTS)
@example(headers={"x-front-request-timestamp": "\ud800", "x-front-signature": "\ud800"}, body=b"", address="")
@example(headers={"authorization": "Basic \udcff"}, body=b"{}", address="")
def test_without_the_secret_everything_is_forged(name: str, headers: dict[str, str], body: bytes, address: str) -> None:
    """No headers that somebody makes up pass for a proof, and the failure repeats nothing of them."""
    request = HookRequest("POST", (address,), headers, {"token": address}, body)
    with pytest.raises(Forged) as caught:
        webhook_of(name).verify_and_read(request, SECRET, NOW)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", NAMES)
@fuzz(5)
@given(body=BODIES)
@example(body=deep("[", "]", 100_000).encode())
@example(body=b'{"ticket_id": ' + b"9" * 5000 + b"}")
@example(body=b'{"ticket_id": "' + b"9" * 5000 + b'"}')
def test_every_body_names_tickets_or_has_a_named_failure(name: str, body: bytes) -> None:
    """Where the proof is good, what the body says is ids that look like ids, or a named failure."""
    webhook = webhook_of(name)
    proven = Webhook(SharedSecret(), webhook.read, webhook.ticket)
    headers = {SECRET_HEADER.lower(): SECRET.get_secret_value(), "x-helpscout-event": "convo.created"}
    with suppress(Unreadable):
        named = proven.verify_and_read(HookRequest("POST", ("",), headers, {}, body), SECRET, NOW)
        assert all(one.isascii() and one.isprintable() and len(one) <= 200 for one in named.ids | named.numbers)
