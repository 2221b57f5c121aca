"""Each vendor's webhooks: what the vendor signs and names is believed, and nothing else is.

The signatures are made here as each vendor's documentation describes them, step by step, and not with our own code.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from syncd.sources.registry import load_adapter
from syncd.sources.webhook import Forged, HookRequest, Named, Unreadable
from tests.docs.adapter_table import own_adapters
from tests.fuzz.adapters import options_of

NOW = datetime(2026, 3, 2, 9, 0, 0, tzinfo=UTC)
ADDRESS = "https://syncd.example.org/hooks/support"
SECRET = "key-of-the-webhooks-4711"
SYS_ID = "9d385017c611228701d22104cc95c371"

Headers = dict[str, str]


def hmac_of(algorithm: str, *parts: bytes, secret: str = SECRET) -> bytes:
    """Return an HMAC over the parts, one behind the other."""
    return hmac.new(secret.encode(), b"".join(parts), algorithm).digest()


def in_base64(digest: bytes) -> str:
    """Return it as base64."""
    return base64.b64encode(digest).decode()


def zendesk(body: bytes, at: datetime, secret: str) -> Headers:
    """Zendesk: base64 of HMAC-SHA256 over the timestamp and the body."""
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = in_base64(hmac_of("sha256", stamp.encode(), body, secret=secret))
    return {"X-Zendesk-Webhook-Signature": signature, "X-Zendesk-Webhook-Signature-Timestamp": stamp}


def jira(body: bytes, _at: datetime, secret: str) -> Headers:
    """Jira: hexadecimal HMAC-SHA256 of the body."""
    return {"X-Hub-Signature": "sha256=" + hmac_of("sha256", body, secret=secret).hex()}


def hub_sha1(body: bytes, _at: datetime, secret: str) -> Headers:
    """Intercom and Zammad: hexadecimal HMAC-SHA1 of the body."""
    return {"X-Hub-Signature": "sha1=" + hmac_of("sha1", body, secret=secret).hex()}


def help_scout(body: bytes, _at: datetime, secret: str) -> Headers:
    """Help Scout: base64 of HMAC-SHA1 of the body."""
    signature = in_base64(hmac_of("sha1", body, secret=secret))
    return {"X-HelpScout-Signature": signature, "X-HelpScout-Event": "convo.customer.reply.created"}


def hubspot(body: bytes, at: datetime, secret: str) -> Headers:
    """HubSpot, version 3: base64 of HMAC-SHA256 over method, address, body and timestamp in milliseconds."""
    stamp = str(int(at.timestamp() * 1000))
    signature = in_base64(hmac_of("sha256", b"POST", ADDRESS.encode(), body, stamp.encode(), secret=secret))
    return {"X-HubSpot-Signature-V3": signature, "X-HubSpot-Request-Timestamp": stamp}


def front_application(body: bytes, at: datetime, secret: str) -> Headers:
    """Front's application webhooks: base64 of HMAC-SHA256 over timestamp in milliseconds, colon, body."""
    stamp = str(int(at.timestamp() * 1000))
    signature = in_base64(hmac_of("sha256", stamp.encode(), b":", body, secret=secret))
    return {"X-Front-Signature": signature, "X-Front-Request-Timestamp": stamp}


def front_rule(body: bytes, _at: datetime, secret: str) -> Headers:
    """Front's rule webhooks: base64 of HMAC-SHA1 of the body."""
    return {"X-Front-Signature": in_base64(hmac_of("sha1", body, secret=secret))}


def redmine(body: bytes, _at: datetime, secret: str) -> Headers:
    """Redmine 7: hexadecimal HMAC-SHA256 of the body."""
    return {"X-Redmine-Signature-256": "sha256=" + hmac_of("sha256", body, secret=secret).hex()}


def glpi(body: bytes, at: datetime, secret: str) -> Headers:
    """GLPI 11: hexadecimal HMAC-SHA256 over body and timestamp in seconds."""
    stamp = str(int(at.timestamp()))
    return {"X-GLPI-signature": hmac_of("sha256", body, stamp.encode(), secret=secret).hex(), "X-GLPI-timestamp": stamp}


def shared(_body: bytes, _at: datetime, secret: str) -> Headers:
    """Those that sign nothing send the secret."""
    return {"X-Syncd-Secret": secret}


@dataclass(frozen=True)
class Vendor:
    """An adapter, how its vendor proves itself, and what it sends about a ticket."""

    adapter: str
    prove: Callable[[bytes, datetime, str], Headers]
    value: object
    ids: frozenset[str]
    minutes: float | None = None
    more: Headers = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """Return the body as bytes, with text in it that is no ASCII."""
        return json.dumps(self.value, ensure_ascii=False).encode()

    def request(self, at: datetime = NOW, secret: str = SECRET, body: bytes | None = None) -> HookRequest:
        """Return a webhook as this vendor sends it at an instant."""
        body = self.body if body is None else body
        headers = self.prove(body, at, secret) | self.more
        return request_with(headers, body)

    def read(self, request: HookRequest) -> Named:
        """Read a webhook as the adapter does."""
        adapter = load_adapter(self.adapter)
        webhook = adapter.webhook
        assert webhook is not None
        return webhook.verify_and_read(request, SecretStr(SECRET), NOW)


def request_with(headers: Mapping[str, str], body: bytes, query: Mapping[str, str] | None = None) -> HookRequest:
    """Return a webhook with these headers."""
    small = {name.lower(): value for name, value in headers.items()}
    return HookRequest("POST", ("https://127.0.0.1/hooks/support", ADDRESS), small, query or {}, body)


def of(*ids: str) -> frozenset[str]:
    """Return ids."""
    return frozenset(ids)


EVENT = "zen:event-type:ticket.comment_added"
VENDORS = [
    Vendor("zendesk", zendesk, {"type": EVENT, "detail": {"id": "141"}, "event": {"comment": "Grüße"}}, of("141"), 5),
    Vendor("zendesk", zendesk, {"ticket_id": "141"}, of("141"), 5),
    Vendor("jira", jira, {"webhookEvent": "comment_created", "issue": {"id": "10002", "key": "ED-1"}}, of("10002")),
    Vendor("intercom", hub_sha1, {"topic": "conversation.user.replied",
           "data": {"item": {"type": "conversation", "id": "215"}}}, of("215")),
    Vendor("intercom", hub_sha1, {"topic": "ticket.contact.replied",
           "data": {"item": {"type": "ticket", "id": "215", "ticket_id": "7"}}}, of("ticket-215")),
    Vendor("help_scout", help_scout, {"id": 12, "number": 349, "preview": "Grüße"}, of("12")),
    Vendor("hubspot", hubspot, [{"subscriptionType": "ticket.propertyChange", "objectId": 176602},
           {"subscriptionType": "object.propertyChange", "objectTypeId": "0-5", "objectId": 8},
           {"subscriptionType": "object.creation", "objectTypeId": "0-1", "objectId": 9},
           {"subscriptionType": "conversation.newMessage", "objectId": 5}], of("176602", "8"), 5),
    Vendor("front", front_application, {"type": "inbound_received",
           "payload": {"conversation": {"id": "cnv_1a2b"}}}, of("cnv_1a2b"), 5),
    Vendor("front", front_rule, {"type": "inbound", "conversation": {"id": "cnv_1a2b"}}, of("cnv_1a2b")),
    Vendor("zammad", hub_sha1, {"ticket": {"id": 77, "number": "96077"}, "article": {"body": "Grüße"}}, of("77")),
    Vendor("redmine", redmine, {"type": "issue.updated", "data": {"issue": {"id": 6}}}, of("6")),
    Vendor("redmine", shared, {"payload": {"action": "updated", "issue": {"id": 6}}}, of("6")),
    Vendor("glpi", glpi, {"event": "new", "item": {"id": 31}, "parent_item": {"id": 4}}, of("4")),
    Vendor("glpi", glpi, {"event": "update", "item": {"id": 4, "name": "Grüße"}}, of("4")),
    Vendor("freshdesk", shared, {"ticket_id": 9}, of("9")),
    Vendor("freshdesk", shared, {"freshdesk_webhook": {"ticket_id": 9}}, of("9")),
    Vendor("freshservice", shared, {"ticket_id": "INC-12"}, of("12")),
    Vendor("gorgias", shared, {"ticket_id": "5"}, of("5")),
    Vendor("request_tracker", shared, {"ticket_id": 17}, of("17")),
    Vendor("salesforce", shared, {"ticket_id": "500D0000003nYLi"}, of("500D0000003nYLiIAM")),
    Vendor("servicenow", shared, {"ticket_id": SYS_ID}, of(SYS_ID)),
    Vendor("znuny", shared, {"Event": {"TicketID": "8"}, "Ticket": {"TicketID": "8"}}, of("8")),
    Vendor("zoho_desk", shared, [{"eventType": "Ticket_Thread_Add", "payload": {"id": "1", "ticketId": "2000001"}},
           {"eventType": "Ticket_Update", "payload": {"id": "2000002"}},
           {"eventType": "Contact_Update", "payload": {"id": "2000003"}}], of("2000001", "2000002")),
    Vendor("rest", shared, {"ticket_id": "A-1"}, of("A-1")),
]  # fmt: skip
SIGNED = [vendor for vendor in VENDORS if vendor.prove is not shared]
STAMPED = [vendor for vendor in VENDORS if vendor.minutes]


def name_of(vendor: Vendor) -> str:
    """Return what a test with it is called."""
    return f"{vendor.adapter}-{vendor.prove.__name__}"


every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=name_of)


def test_every_adapter_has_webhooks_and_is_tried() -> None:
    """No adapter is left out here."""
    assert {vendor.adapter for vendor in VENDORS} == set(own_adapters())


@every_vendor
def test_what_the_vendor_sends_names_its_tickets(vendor: Vendor) -> None:
    """A genuine webhook names the tickets that it is about, by the ids that the adapter uses."""
    assert vendor.read(vendor.request()) == Named(vendor.ids)


@every_vendor
def test_another_secret_is_forged(vendor: Vendor) -> None:
    """What was made with another secret, however near it is to ours, is refused."""
    for secret in (SECRET[:-1], SECRET + "1", SECRET.upper(), "x"):
        with pytest.raises(Forged):
            vendor.read(vendor.request(secret=secret))


@every_vendor
def test_without_proof_it_is_forged(vendor: Vendor) -> None:
    """A webhook without any of its headers is refused, and so is one whose headers are empty."""
    for headers in ({}, dict.fromkeys(vendor.request().headers, "")):
        with pytest.raises(Forged):
            vendor.read(replace(vendor.request(), headers=headers))


@pytest.mark.parametrize("vendor", SIGNED, ids=name_of)
def test_one_flipped_byte_is_forged(vendor: Vendor) -> None:
    """A signature is of these bytes: one changed anywhere, or one more, and it is refused."""
    body = vendor.body
    spoilt = [body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :] for place in (0, len(body) // 2, -1)]
    for other in (*spoilt, body + b" ", b"", b"{}"):
        with pytest.raises(Forged):
            vendor.read(replace(vendor.request(), body=other))


@pytest.mark.parametrize("vendor", STAMPED, ids=name_of)
def test_what_was_signed_long_ago_is_forged(vendor: Vendor) -> None:
    """Where the time is signed, a webhook is good for some minutes; changing its time breaks its signature."""
    assert vendor.minutes is not None
    last = NOW - timedelta(minutes=vendor.minutes)
    assert vendor.read(vendor.request(at=last)).ids == vendor.ids
    for at in (last - timedelta(seconds=1), NOW + timedelta(minutes=vendor.minutes, seconds=1)):
        with pytest.raises(Forged):
            vendor.read(vendor.request(at=at))
    stamp = next(name for name in vendor.request().headers if "timestamp" in name)
    old = vendor.request(at=last - timedelta(hours=1))
    for text in (vendor.request().header(stamp), "", "soon", "9" * 400, "-1", "1e9", "\ud800"):
        with pytest.raises(Forged):
            vendor.read(replace(old, headers={**old.headers, stamp: text}))


def test_what_glpi_had_in_its_queue_is_good_however_old() -> None:
    """GLPI signs when it queues a webhook, and sends it when its scheduler runs."""
    vendor = next(vendor for vendor in VENDORS if vendor.adapter == "glpi")
    assert vendor.read(vendor.request(at=NOW - timedelta(days=1))).ids == vendor.ids


def test_hubspot_signs_one_of_the_addresses_that_we_are_known_by() -> None:
    """Under another address the same webhook is another one."""
    vendor = next(vendor for vendor in VENDORS if vendor.adapter == "hubspot")
    for address in (ADDRESS + "?x=1", ADDRESS.replace("https", "http"), ADDRESS + "2"):
        with pytest.raises(Forged):
            vendor.read(replace(vendor.request(), addresses=(address,)))
    with pytest.raises(Forged):
        vendor.read(replace(vendor.request(), method="PUT"))


def test_front_without_its_timestamp_needs_the_other_signature() -> None:
    """Whoever takes the time out of an application's webhook has no webhook of a rule."""
    vendor = next(vendor for vendor in VENDORS if vendor.prove is front_application)
    request = vendor.request()
    headers = {name: value for name, value in request.headers.items() if "timestamp" not in name}
    with pytest.raises(Forged):
        vendor.read(replace(request, headers=headers))


NONSENSE = (b"{", b"\xff\xfe", b"[" * 5000 + b"]" * 5000, b"null", b"7", b"[7]", b"NaN", b"{'a': 1}", b"ticket_id=7")


@every_vendor
def test_a_body_that_makes_no_sense_is_unreadable(vendor: Vendor) -> None:
    """A genuine webhook whose body is not what it should be names nothing, or has a named failure."""
    for body in NONSENSE:
        with suppress(Unreadable):
            assert vendor.read(vendor.request(body=body)) == Named()


def hostile(value: object) -> object:
    """Return the same body with something in the place of each id that is no id."""
    if isinstance(value, dict):
        return {key: hostile(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return value if isinstance(value, str) and not value[-1].isdigit() else "1' OR 1=1 --\n"


@every_vendor
def test_an_id_that_is_none_is_unreadable(vendor: Vendor) -> None:
    """An id is what ids of this vendor look like, or the webhook is refused; what stood there is not repeated."""
    body = json.dumps(hostile(vendor.value)).replace(SYS_ID, "x").replace("500D0000003nYLi", "x")
    body = body.replace("cnv_1a2b", "cnv_../x")
    with pytest.raises(Unreadable) as caught:
        vendor.read(vendor.request(body=body.encode()))
    assert "OR 1=1" not in str(caught.value)


@every_vendor
def test_a_call_without_body_names_nothing(vendor: Vendor) -> None:
    """Whoever tries the address with a good proof is answered well."""
    assert vendor.read(vendor.request(body=b"")) == Named()


@pytest.mark.parametrize("vendor", [one for one in VENDORS if one.prove is shared], ids=name_of)
def test_a_secret_may_come_in_any_of_four_ways(vendor: Vendor) -> None:
    """In a header of its own, as a Bearer token, as the password of a Basic login, or in the address."""
    login = base64.b64encode(f"syncd:{SECRET}".encode()).decode()
    for scheme in (f"Bearer {SECRET}", f"basic {login}"):
        assert vendor.read(request_with({"Authorization": scheme}, vendor.body)).ids == vendor.ids
    assert vendor.read(request_with({}, vendor.body, {"token": SECRET})).ids == vendor.ids
    for scheme in (SECRET, f"Basic {SECRET}", "Basic %%%", f"Basic {login[:-3]}", "Bearer"):
        with pytest.raises(Forged):
            vendor.read(request_with({"Authorization": scheme}, vendor.body))


@pytest.mark.parametrize("adapter", ["freshdesk", "gorgias", "request_tracker", "servicenow", "znuny", "rest"])
def test_a_body_without_a_ticket_is_said_to_have_none(adapter: str) -> None:
    """Where an operator writes the body, the answer says what is missing, for the vendor's own log of webhooks."""
    vendor = Vendor(adapter, shared, {"subject": "something else"}, of())
    with pytest.raises(Unreadable, match="ticket"):
        vendor.read(vendor.request())


@pytest.mark.parametrize(
    "vendor",
    [
        Vendor("zendesk", zendesk, {"type": "zen:event-type:user.created", "detail": {"id": "1"}}, of()),
        Vendor("jira", jira, {"webhookEvent": "project_updated", "project": {"id": 1}}, of()),
        Vendor("intercom", hub_sha1, {"topic": "ping", "data": {"item": {"type": "ping"}}}, of()),
        Vendor("help_scout", help_scout, {"id": 5}, of(), more={"X-HelpScout-Event": "customer.created"}),
        Vendor("front", front_application, {"type": "sync", "authorization": {"id": "cmp_1"}}, of()),
    ],
    ids=name_of,
)
def test_an_event_about_something_else_names_no_ticket(vendor: Vendor) -> None:
    """What vendors send beside what was asked for is no failure."""
    assert vendor.read(vendor.request()) == Named()


def test_the_settings_of_rest_say_where_the_ids_are() -> None:
    """An expression may give one id or several; what it gives that is no id is unreadable."""
    adapter = load_adapter("rest")
    options = adapter.config.model_validate({**options_of("rest"), "webhook_ticket": "events[].ticket"})
    webhook = adapter.described_webhook(options)
    assert webhook is not None

    def read(value: object) -> Named:
        request = request_with({"X-Syncd-Secret": SECRET}, json.dumps(value).encode())
        return webhook.verify_and_read(request, SecretStr(SECRET), NOW)

    assert read({"events": [{"ticket": 7}, {"ticket": "A-8"}, {}]}) == Named(of("7", "A-8"))
    for value in ({"events": [{"ticket": {"id": 7}}]}, {"events": [{"ticket": "a b"}]}, {"nothing": 1}):
        with pytest.raises(Unreadable):
            read(value)


def test_a_webhook_that_names_very_many_is_unreadable() -> None:
    """There is a bound to how many tickets one webhook makes due."""
    events = [{"subscriptionType": "ticket.creation", "objectId": number} for number in range(1, 1002)]
    vendor = Vendor("hubspot", hubspot, events, of())
    with pytest.raises(Unreadable, match="1000"):
        vendor.read(vendor.request())


def test_a_digest_without_its_prefix_is_the_same_digest() -> None:
    """What stands before a signature says how it was made, and proves nothing."""
    body = b'{"issue": {"id": "1"}}'
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    vendor = next(vendor for vendor in VENDORS if vendor.adapter == "jira")
    assert vendor.read(request_with({"X-Hub-Signature": digest}, body)).ids == {"1"}
