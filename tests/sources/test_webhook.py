"""Webhooks, whatever the vendor: what is shown of them, and what a reader takes out of a body."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from syncd.sources.webhook import HookRequest, Named, Unreadable, Webhook
from syncd.sources.webhook_bodies import named_by_operator
from syncd.sources.webhook_proofs import SharedSecret
from syncd.testing.in_memory import InMemory

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET = SecretStr("helpdesk-webhooks-secret")


def sent(value: object) -> HookRequest:
    """Return a genuine webhook with this body."""
    headers = {"x-syncd-secret": SECRET.get_secret_value()}
    return HookRequest("POST", ("https://syncd.example.org/hooks/desk?token=helpdesk-webhooks-secret",), headers,
                       {"token": SECRET.get_secret_value()}, json.dumps(value).encode())  # fmt: skip


def read(value: object) -> Named:
    """Read it as the helpdesk's adapter does."""
    webhook = InMemory.webhook
    assert isinstance(webhook, Webhook)
    return webhook.verify_and_read(sent(value), SECRET, NOW)


def test_a_webhook_shows_nothing_of_itself() -> None:
    """Its repr, which may get into a log or a traceback, holds neither body nor secret."""
    shown = repr(sent({"ticket_id": "1", "text": "a reply that is nobody's business"}))
    assert "business" not in shown
    assert "secret" not in shown


def test_a_ticket_is_named_by_id_or_by_number() -> None:
    """The id goes first; a number is for those who have nothing else."""
    assert read({"ticket_id": 7, "ticket_number": "HD-7"}) == Named(ids=frozenset({"7"}))
    assert read({"ticket_number": "HD-7"}) == Named(numbers=frozenset({"HD-7"}))


@pytest.mark.parametrize("number", ["a b", "x" * 201, "\n", "\u0661"])
def test_a_number_that_is_none_is_unreadable(number: str) -> None:
    """A number is one printable word."""
    with pytest.raises(Unreadable):
        read({"ticket_number": number})


@pytest.mark.parametrize("value", [True, 1.5, [], {}, 10**60], ids=repr)
def test_an_id_of_another_type_is_unreadable(value: object) -> None:
    """An id is a whole number or a text, and is never made out of something else."""
    with pytest.raises(Unreadable):
        read({"ticket_id": value})


def test_an_operator_is_told_which_places_are_looked_at() -> None:
    """Who wrote another body reads what it should have held."""
    webhook = Webhook(SharedSecret(), named_by_operator("Ticket.TicketID"), InMemory.webhook.ticket)
    with pytest.raises(Unreadable, match=r"ticket_id, Ticket\.TicketID, ticket_number"):
        webhook.verify_and_read(sent({"id": 7}), SECRET, NOW)
