"""The contract suite finds adapters that break their promises: one broken adapter per promise."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pydantic import ConfigDict, SecretStr

from syncd.model.errors import SyncdError, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import (
    Author,
    AuthorKind,
    Identity,
    TicketRef,
    Unavailability,
    Unavailable,
    Visibility,
)
from syncd.sources.adapter import AdapterConfig, Capability, Connection, HeaderAuthentication
from syncd.sources.registry import open_adapter, validate_options
from syncd.testing.adapter_contract import AdapterContract
from syncd.testing.helpdesk import Helpdesk
from syncd.testing.helpdesk_vendor import HelpdeskVendor
from syncd.testing.in_memory import InMemory, InMemoryConfig, InMemoryPlain
from syncd.testing.vendor import SeededTicket, Vendor


class NobodyInParticular(InMemory):
    """Signs in, and cannot say as whom."""

    async def check(self):
        return Identity("")


class Trusting(InMemory):
    """Never asks whether the credentials are good."""

    async def check(self):
        return Identity("somebody")


class LaxConfig(InMemoryConfig):
    """Refuses no key."""

    model_config = ConfigDict(extra="ignore")


class WordlessConfig(InMemoryConfig):
    """Explains nothing."""

    colour: str = "blue"


class Lax(InMemory):
    """Takes any option."""

    config = LaxConfig


class Wordless(InMemory):
    """Has an option that nobody explains."""

    config = WordlessConfig


class Boastful(InMemoryPlain):
    """Claims a capability that its class does not declare."""

    async def available(self):
        return frozenset({Capability.CHANGE_FEED})


class OtherIdByLink(InMemory):
    """Uses the number as the id of a ticket that was named by its link."""

    async def resolve(self, ref):
        ticket = await super().resolve(ref)
        return replace(ticket, id=ticket.number) if ref.link else ticket


class AnyHost(InMemory):
    """Takes the last part of any link for a ticket."""

    async def resolve(self, ref):
        return await super().resolve(TicketRef(number=(ref.number or ref.link or "").rpartition("/")[2]))


class NoForeignHost(InMemory):
    """Does not know link_hosts."""

    def __init__(self, options, http, link_hosts=()):
        super().__init__(options, http, ())


class AsksAnything(InMemory):
    """Asks the vendor about whatever was typed."""

    async def resolve(self, ref):
        await self.http.get("/api/tickets", params={"number": ref.number or "HD-1"})
        return await super().resolve(ref)


class UnknownIsABug(InMemory):
    """Has no name for a ticket that is not there."""

    async def resolve(self, ref):
        try:
            return await super().resolve(ref)
        except TicketUnavailable:
            raise UnexpectedAnswer("no ticket") from None


class OneByOne(InMemory):
    """Says that it asks for many tickets at once, and does not."""

    tickets = InMemoryPlain.tickets


class ForgetsTheUnavailable(InMemory):
    """Keeps quiet about tickets that are gone."""

    async def tickets(self, ids):
        return [one for one in await super().tickets(ids) if not isinstance(one, Unavailable)]


class NeverClosed(InMemory):
    """Does not know the vendor's word for closed."""

    async def tickets(self, ids):
        return [replace(one, status=None) for one in await super().tickets(ids)]


class NewestFirst(InMemory):
    """Yields the replies as the vendor's website shows them."""

    async def replies(self, ticket, since):
        for reply in reversed([reply async for reply in super().replies(ticket, since)]):
            yield reply


class FirstPageAlone(InMemory):
    """Never turns a page."""

    async def replies(self, ticket, since):
        count = 0
        async for reply in super().replies(ticket, since):
            count += 1
            if count <= 3:
                yield reply


class Doubling(InMemory):
    """Yields what stands at a page border twice."""

    async def replies(self, ticket, since):
        async for reply in super().replies(ticket, since):
            yield reply
            if reply.id == "3":
                yield reply


class AllAreFirst(InMemory):
    """Takes every reply for the ticket's first message."""

    async def replies(self, ticket, since):
        async for reply in super().replies(ticket, since):
            yield replace(reply, first_message=True)


class AfterSince(InMemory):
    """Takes `since` for exclusive."""

    async def replies(self, ticket, since):
        async for reply in super().replies(ticket, since):
            if since is None or reply.created_at > since:
                yield reply


class OnePerInstant(InMemory):
    """Takes the instant of a reply for its identity."""

    async def replies(self, ticket, since):
        seen = set()
        async for reply in super().replies(ticket, since):
            if reply.created_at not in seen:
                seen.add(reply.created_at)
                yield reply


class WallTime(InMemory):
    """Forgets that `since` has an offset."""

    async def replies(self, ticket, since):
        async for reply in super().replies(ticket, since):
            if since is None or reply.created_at.replace(tzinfo=None) >= since.replace(tzinfo=None):
                yield reply


class AllPublic(InMemory):
    """Takes every note for public."""

    async def replies(self, ticket, since):
        async for reply in super().replies(ticket, since):
            yield replace(reply, visibility=Visibility.PUBLIC)


class NoNotes(InMemory):
    """Leaves internal notes out."""

    async def replies(self, ticket, since):
        async for reply in super().replies(ticket, since):
            if reply.visibility is Visibility.PUBLIC:
                yield reply


class AllCustomers(InMemory):
    """Takes every author for a customer."""

    async def replies(self, ticket, since):
        async for reply in super().replies(ticket, since):
            yield replace(reply, author=Author(AuthorKind.CUSTOMER))


class OneFeedPage(InMemory):
    """Stops after the first page of the feed."""

    async def changes(self, start):
        async for page in super().changes(start):
            yield page
            return


class CursorAhead(InMemory):
    """Gives the cursor of the feed's end with the first page."""

    async def changes(self, start):
        pages = [page async for page in super().changes(start)]
        for page in pages:
            yield replace(page, cursor=pages[-1].cursor)


class StartsLate(InMemory):
    """Loses what changed at the very start of the feed."""

    async def changes(self, start):
        late = start + timedelta(seconds=1) if isinstance(start, datetime) else start
        async for page in super().changes(late):
            yield page


class EmptyHands(InMemory):
    """Says that it hands over the replies of a ticket, and hands over none."""

    async def changes(self, start):
        async for page in super().changes(start):
            yield replace(page, replies=dict.fromkeys(page.ticket_ids, ()))


class PatientForEver(InMemory):
    """Takes a repeated page token for the end of the feed."""

    async def changes(self, start):
        try:
            async for page in super().changes(start):
                yield page
        except UnexpectedAnswer:
            return


class FailureIsAbsence(InMemory):
    """Takes nonsense for a ticket without replies."""

    async def replies(self, ticket, since):
        try:
            async for reply in super().replies(ticket, since):
                yield reply
        except UnexpectedAnswer:
            return


class NonsenseIsGone(InMemory):
    """Takes nonsense for deleted tickets."""

    async def tickets(self, ids):
        try:
            return await super().tickets(ids)
        except UnexpectedAnswer:
            return [Unavailable(ticket_id, Unavailability.GONE) for ticket_id in ids]


class Impatient(InMemory):
    """Does not wait when it is asked to."""

    async def check(self):
        await self.http.get("/api/me", expect={429})
        return Identity("somebody")


class Talkative(InMemory):
    """Logs what it signs in with."""

    async def check(self):
        logging.getLogger("talkative").debug("signing in with %s", self.options.token.get_secret_value())
        return await super().check()


class OpenSecret(InMemory):
    """Keeps its token where every repr shows it."""

    @classmethod
    def connection(cls, options):
        secret = options.token.get_secret_value()
        return Connection(options.base_url, HeaderAuthentication(SecretStr(secret)), 600, headers={"X-Key": secret})


class Careless(InMemory):
    """Reads states without a look at what they are."""

    async def tickets(self, ids):
        response = await self.http.get("/api/tickets", params={"ids": ",".join(ids)})
        {item["id"].lower() for item in response.json()["tickets"]}
        return await super().tickets(ids)


class PublicUnlessFalse(InMemory):
    """Takes for public what is not plainly internal."""

    async def replies(self, ticket, since):
        page = (await self.http.get(f"/api/tickets/{ticket.id}/replies")).json()
        hidden = {item.get("id") for item in page["replies"] if item.get("public") is False}
        async for reply in super().replies(ticket, since):
            visibility = Visibility.INTERNAL if reply.id in hidden else Visibility.PUBLIC
            yield replace(reply, visibility=visibility)


class AnyListWillDo(InMemory):
    """Takes what is no list for an empty one."""

    async def replies(self, ticket, since):
        page = (await self.http.get(f"/api/tickets/{ticket.id}/replies")).json()
        if isinstance(page.get("replies"), list):
            async for reply in super().replies(ticket, since):
                yield reply


class GoesElsewhere(InMemory):
    """Takes a redirect for good news."""

    async def resolve(self, ref):
        await self.http.get("/api/me", expect={302})
        return await super().resolve(ref)


class Hoarder(InMemory):
    """Goes on reading behind the back of whoever gave up."""

    async def replies(self, ticket, since):
        try:
            async for reply in super().replies(ticket, since):
                yield reply
        except BaseException:
            self.http.requests_under_way += 1
            raise


BROKEN = [
    (NobodyInParticular, "test_it_signs_in"),
    (Trusting, "test_bad_credentials_pause"),
    (Lax, "test_unknown_options_are_refused"),
    (Wordless, "test_it_describes_itself"),
    (Boastful, "test_it_uses_no_more_than_it_declares"),
    (OtherIdByLink, "test_number_and_link_name_the_same_ticket"),
    (NoForeignHost, "test_a_link_is_parsed_and_never_followed"),
    (AnyHost, "test_a_foreign_link_is_refused"),
    (AsksAnything, "test_a_link_to_something_else_is_refused"),
    (AsksAnything, "test_an_impossible_number_is_refused"),
    (UnknownIsABug, "test_an_unknown_ticket_is_unavailable"),
    (OneByOne, "test_tickets_are_told_one_by_one"),
    (ForgetsTheUnavailable, "test_a_vanished_ticket_stops_no_other"),
    (NeverClosed, "test_a_closed_ticket_is_closed"),
    (NewestFirst, "test_replies_come_oldest_first_and_the_same_twice"),
    (FirstPageAlone, "test_replies_come_oldest_first_and_the_same_twice"),
    (Doubling, "test_replies_come_oldest_first_and_the_same_twice"),
    (AllAreFirst, "test_only_the_first_is_the_first_message"),
    (AfterSince, "test_since_loses_nothing"),
    (OnePerInstant, "test_since_loses_nothing"),
    (WallTime, "test_since_loses_nothing"),
    (AllPublic, "test_internal_notes_are_marked"),
    (NoNotes, "test_internal_notes_are_marked"),
    (AllCustomers, "test_customers_and_agents_are_told_apart"),
    (OneFeedPage, "test_the_feed_starts_at_an_instant"),
    (StartsLate, "test_the_feed_starts_at_an_instant"),
    (CursorAhead, "test_the_feed_goes_on_from_any_cursor_it_gave"),
    (EmptyHands, "test_the_feed_tells_of_new_replies"),
    (PatientForEver, "test_a_repeated_page_token_is_an_error"),
    (Impatient, "test_a_short_retry_after_is_waited_out"),
    (Impatient, "test_a_long_retry_after_is_handed_on"),
    (FailureIsAbsence, "test_failure_is_not_absence"),
    (NonsenseIsGone, "test_failure_is_not_absence"),
    (Hoarder, "test_cancelling_leaves_nothing_open"),
    (Careless, "test_a_field_of_another_type_fails_its_ticket_alone"),
    (PublicUnlessFalse, "test_a_field_of_another_type_fails_its_ticket_alone"),
    (AnyListWillDo, "test_a_field_of_another_type_fails_its_ticket_alone"),
    (FailureIsAbsence, "test_a_broken_answer_is_a_failure"),
    (GoesElsewhere, "test_a_redirect_to_another_host_is_not_followed"),
    pytest.param(Talkative, "test_secrets_appear_nowhere", marks=pytest.mark.leaks_on_purpose),
    (OpenSecret, "test_secrets_appear_nowhere"),
]
ARGUMENTS = {"netloc": "evil.test", "number": "no such number"}


async def run(adapter, test, clock, caplog, vendor_class=HelpdeskVendor):
    """Run one test of the suite against an adapter."""
    suite = type("Suite", (AdapterContract,), {"adapter": adapter})()
    async with Helpdesk(clock) as helpdesk:
        vendor = vendor_class(helpdesk)
        options = validate_options(adapter, vendor.options())
        link_hosts = ["tickets.elsewhere.test"]
        async with open_adapter(adapter, options, clock=clock, link_hosts=link_hosts) as opened:
            offered = {"opened": opened, "vendor": vendor, "clock": clock, "caplog": caplog, **ARGUMENTS}
            method = getattr(suite, test)
            names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
            await method(**{name: offered[name] for name in names})


@pytest.mark.parametrize(("adapter", "test"), BROKEN)
async def test_a_broken_promise_is_found(adapter, test, clock, caplog):
    """The test passes for the model adapter, and fails for the one that breaks what it is about."""
    await run(InMemory, test, clock, caplog)
    with pytest.raises((AssertionError, pytest.fail.Exception, SyncdError)):
        await run(adapter, test, clock, caplog)


def test_every_test_of_the_suite_has_a_broken_adapter():
    """No test of the suite goes without an adapter that fails it."""
    tests = {name for name in dir(AdapterContract) if name.startswith("test_")}
    assert tests == {(one.values if isinstance(one, type(pytest.param())) else one)[1] for one in BROKEN}


class Minimal(Vendor):
    """A stand-in that offers what it must."""

    def __init__(self, helpdesk):
        self.helpdesk = HelpdeskVendor(helpdesk)

    def options(self):
        return self.helpdesk.options()

    def bad_options(self):
        return self.helpdesk.bad_options()

    async def seed_ticket(self, reply_times) -> SeededTicket:
        return await self.helpdesk.seed_ticket(reply_times)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("test_internal_notes_are_marked", "has no internal notes"),
        ("test_a_closed_ticket_is_closed", "closes no tickets"),
        ("test_a_vanished_ticket_stops_no_other", "deletes no tickets"),
        ("test_a_short_retry_after_is_waited_out", "does not throttle"),
        ("test_failure_is_not_absence", "always makes sense"),
        ("test_cancelling_leaves_nothing_open", "does not hang"),
        ("test_a_redirect_to_another_host_is_not_followed", "does not redirect"),
        ("test_a_repeated_page_token_is_an_error", "no page token to repeat"),
        ("test_customers_and_agents_are_told_apart", "adds no replies by customers"),
    ],
)
async def test_what_a_stand_in_lacks_is_skipped_with_a_word(test, words, clock, caplog):
    """A stand-in that cannot do something has the test skipped, saying what it cannot."""
    with pytest.raises(pytest.skip.Exception, match=words):
        await run(InMemory, test, clock, caplog, Minimal)


def test_the_base_config_is_strict():
    """Unknown keys are refused by every adapter that does not go out of its way."""
    assert AdapterConfig.model_config["extra"] == "forbid"
