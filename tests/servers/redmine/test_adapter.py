"""The adapter against a real Redmine 5. Its reader prefers another time zone, and the newest note first."""

import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from adapters.redmine import Redmine
from syncd.model.clock import SystemClock
from syncd.model.communication import ThreadStatus
from syncd.model.errors import PauseSystem, TicketUnavailable
from syncd.model.ticket import AuthorKind, TicketRef, Unavailability, Unavailable, Visibility
from syncd.sources.http import VendorHttp

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("redmine")]

WRONG_KEY = "0" * 40


@pytest.fixture
async def connect(redmine):
    """Return what builds an adapter for one of the accounts; its requests are counted in `adapter.http`."""
    opened = []

    def build(by="reader", **options):
        address = {"base_url": redmine.base_url, "api_key": redmine.key(by)}
        settings = Redmine.config(**(address | options))
        http = VendorHttp(Redmine.connection(settings), clock=SystemClock(), requests_per_minute=60_000)
        opened.append(http)
        return Redmine(settings, http)

    yield build
    for http in opened:
        await http.close()


@pytest.fixture
def adapter(connect):
    """Return an adapter with the least permissions that it needs."""
    return connect()


@pytest.fixture
def ticket(redmine):
    """Return the number of a new issue of the customer."""
    return redmine.create_ticket("Printer", "It does not print.")


@contextmanager
def setting(redmine, name, value):
    """Let a setting of the site have another value for a while."""

    def write(text):
        later = datetime.now(UTC) + timedelta(
            days=1
        )  # Redmine reads its settings again when they are newer than before
        with closing(sqlite3.connect(redmine.values["DATABASE"], timeout=30)) as database, database:
            before = database.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()[0]
            query = "UPDATE settings SET value = ?, updated_on = ? WHERE name = ?"
            database.execute(query, (text, f"{later:%Y-%m-%d %H:%M:%S.%f}", name))
        return before

    before = write(value)
    try:
        yield
    finally:
        write(before)


async def replies_of(adapter, number, since=None):
    """Return the replies of an issue."""
    found = await adapter.resolve(TicketRef(number=str(number)))
    return [reply async for reply in adapter.replies(found, since)]


async def changed(adapter, start):
    """Return the numbers that the feed names from an instant or a cursor, and the cursor behind them."""
    pages = [page async for page in adapter.changes(start)]
    return [int(key) for page in pages for key in page.ticket_ids], pages[-1].cursor


def recently(minutes=0):
    """Return an instant some minutes ago, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes)


async def test_check_tells_account_and_projects(adapter, ticket):
    """The account with the least permissions has nothing to be warned of."""
    identity = await adapter.check()
    assert (identity.account, identity.notes, identity.warnings) == ("syncd", ("member of: Support",), ())


async def test_check_warns_of_too_much_and_of_too_little(connect, ticket):
    """An administrator may do more than read, and a customer sees no private notes."""
    assert any("administrator" in warning for warning in (await connect("root").check()).warnings)
    assert any("View private notes" in warning for warning in (await connect("customer").check()).warnings)
    assert any("no role Melder" in warning for warning in (await connect(customer_roles=["Melder"]).check()).warnings)


async def test_a_wrong_key_pauses(connect):
    """A key that no account has is refused."""
    with pytest.raises(PauseSystem):
        await connect(api_key=WRONG_KEY).check()


async def test_a_wrong_key_pauses_where_visitors_are_let_in(connect, redmine, ticket):
    """Without "authentication required" the list of issues is answered as to a visitor; who we are is not."""
    with setting(redmine, "login_required", "0"):
        adapter = connect(api_key=WRONG_KEY)
        assert (await adapter.http.get("/issues.json")).json()["total_count"] == 0
        for asked in (adapter.check(), changed(adapter, recently(5)), adapter.tickets([str(ticket)])):
            with pytest.raises(PauseSystem):
                await asked
    assert await adapter_is_well(connect)


async def adapter_is_well(connect):
    """Tell whether the reader is signed in."""
    return (await connect().check()).account == "syncd"


@pytest.mark.parametrize("login_required", ["0", "1"])
async def test_an_api_that_is_switched_off_pauses(connect, redmine, ticket, login_required):
    """With the REST API off, an issue is forbidden; that is said of the system, and not of the issue."""
    with setting(redmine, "login_required", login_required), setting(redmine, "rest_api_enabled", "0"):
        adapter = connect()
        for asked in (adapter.check(), changed(adapter, recently(5)), adapter.tickets([str(ticket)])):
            with pytest.raises(PauseSystem, match="REST API"):
                await asked
    assert await adapter_is_well(connect)


async def test_number_and_link_are_the_same_ticket(adapter, redmine, ticket):
    """Every shape of reference leads to one id."""
    redmine.assign(ticket, "agent")
    base = redmine.base_url
    refs = [TicketRef(number=str(ticket)), TicketRef(number=f"#{ticket}")]
    refs += [TicketRef(link=f"{base}/issues/{ticket}#note-1"), TicketRef(link=f"{base}/issues/{ticket}.json")]
    found = [await adapter.resolve(ref) for ref in refs]
    assert {item.id for item in found} == {str(ticket)}
    assert found[0].link == f"{base}/issues/{ticket}"
    assert (found[0].subject, found[0].status, found[0].assignee) == ("Printer", ThreadStatus.CREATED, "Peter Meyer")


async def test_what_cannot_be_followed_says_why(adapter, redmine, ticket):
    """Deleted, moved out of sight, hidden and missing issues are told apart, alone and in bulk."""
    deleted, moved = (redmine.create_ticket("Other", "Text") for _ in range(2))
    hidden = redmine.create_ticket("Invoice", "Text", by="agent", project=redmine.hidden_project)
    redmine.move(moved, redmine.hidden_project)
    redmine.delete(deleted)
    wanted = {deleted: Unavailability.GONE, moved: Unavailability.FORBIDDEN, hidden: Unavailability.FORBIDDEN}
    wanted[987654] = Unavailability.GONE
    good, *lost = await adapter.tickets([str(key) for key in (ticket, *wanted)])
    assert good.id == str(ticket)
    assert lost == [Unavailable(str(key), reason) for key, reason in wanted.items()]
    for key, reason in wanted.items():
        with pytest.raises(TicketUnavailable) as refused:
            await adapter.resolve(TicketRef(number=str(key)))
        assert refused.value.unavailable.reason is reason


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("In Progress", ThreadStatus.ONGOING),
        ("Resolved", ThreadStatus.ONGOING),
        ("Feedback", ThreadStatus.ONGOING),
        ("Closed", ThreadStatus.CLOSED),
        ("Rejected", ThreadStatus.CLOSED),
    ],
)
async def test_statuses(adapter, redmine, ticket, word, level):
    """The words of the default data are known in bulk, closed issues included; New is CREATED, see above."""
    redmine.set_status(ticket, word)
    (found,) = await adapter.tickets([str(ticket)])
    assert (found.vendor_status, found.status) == (word, level)


async def test_two_hundred_tickets_cost_two_requests(adapter, redmine):
    """A list takes a hundred ids."""
    numbers = [str(key) for key in redmine.write_tickets(200, recently(600))]
    await adapter.tickets(numbers[:1])
    before = adapter.http.requests_sent
    assert [state.id for state in await adapter.tickets(numbers)] == numbers
    assert adapter.http.requests_sent - before == 2


@pytest.mark.parametrize("account", ["reader", "agent", "root"])
async def test_replies_are_told_as_they_are(connect, redmine, ticket, account):
    """Order, author, visibility and text come out right, whichever order the account prefers."""
    agent = redmine.reply(ticket, "Is it *on*?", by="agent", status_id=2)
    note = redmine.note(ticket, "Rings often.")
    customer = redmine.reply(ticket, "Yes: Größe <A4> & „mehr“\r\n> Is it on?", by="customer")
    redmine.set_status(ticket, "Closed")
    found = await replies_of(connect(account), ticket)
    assert [reply.id for reply in found] == [f"issue-{ticket}", str(agent), str(note), str(customer)]
    kinds = [AuthorKind.CUSTOMER, AuthorKind.AGENT, AuthorKind.AGENT, AuthorKind.CUSTOMER]
    assert [reply.author.kind for reply in found] == kinds
    assert [reply.visibility is Visibility.PUBLIC for reply in found] == [True, True, False, True]
    assert [reply.first_message for reply in found] == [True, False, False, False]
    assert found[3].body.text.splitlines() == ["Yes: Größe <A4> & „mehr“", "> Is it on?"]
    assert (found[1].body.text, found[1].author.name) == ("Is it *on*?", "Peter Meyer")
    assert all(abs(reply.created_at - datetime.now(UTC)) < timedelta(minutes=5) for reply in found)


async def test_private_notes_need_their_permission(connect, redmine, ticket):
    """Without the right a private note is not there, and nothing else is missing."""
    redmine.note(ticket, "Rings often.")
    redmine.reply(ticket, "Soon.")
    found = await replies_of(connect("customer"), ticket)
    assert [reply.body.text for reply in found] == ["It does not print.", "Soon."]


@pytest.mark.parametrize("account", ["reader", "customer"])
async def test_files(connect, redmine, ticket, account):
    """Files hang on the reply that brought them; those of a private note are internal, also for who does not see it."""
    redmine.reply(ticket, "See there.", files={"größe plan.pdf": b"%PDF"})
    redmine.reply(ticket, "His contract.", files={"contract.txt": b"text"}, private_notes=True)
    redmine.attach(ticket, "screen.png", b"png", by="customer")
    found = {file.name: reply for reply in await replies_of(connect(account), ticket) for file in reply.attachments}
    assert list(found) == ["größe plan.pdf", "contract.txt", "screen.png"]
    assert [one.visibility is Visibility.PUBLIC for one in found.values()] == [True, False, True]
    (file,) = found["größe plan.pdf"].attachments
    assert (file.size_bytes, file.media_type) == (4, "application/pdf")
    assert file.link.startswith(f"{redmine.base_url}/attachments/")


async def test_a_private_issue_is_a_conversation_only_with_the_customer_who_opened_it(adapter, redmine, ticket):
    """An issue that agents keep private is internal as a whole; its author sees a private one."""
    kept = redmine.create_ticket("Kept", "text", by="agent")
    for key in (ticket, kept):
        redmine.reply(key, "Soon.")
        redmine.call("root", "PUT", f"/issues/{key}.json", {"issue": {"is_private": True}})
    assert {reply.visibility for reply in await replies_of(adapter, ticket)} == {Visibility.PUBLIC}
    assert {reply.visibility for reply in await replies_of(adapter, kept)} == {Visibility.INTERNAL}


async def test_an_edited_and_an_emptied_note(adapter, redmine, ticket):
    """An edit keeps the id and does not touch the issue; an emptied note is gone."""
    edited, emptied = redmine.reply(ticket, "Frist"), redmine.reply(ticket, "Nonsense")
    before = (await adapter.resolve(TicketRef(number=str(ticket)))).updated_at
    redmine.edit(edited, "First")
    redmine.edit(emptied, "")
    found = await replies_of(adapter, ticket, since=recently() + timedelta(hours=1))
    assert [(reply.id, reply.body.text) for reply in found[1:]] == [(str(edited), "First")]
    assert (await adapter.resolve(TicketRef(number=str(ticket)))).updated_at == before


async def test_a_long_conversation_is_one_request(adapter, redmine, ticket):
    """All notes come at once, and the people of a project are read once."""
    ids = redmine.write_replies(ticket, [recently(30) + timedelta(seconds=index // 2) for index in range(230)])
    found = await replies_of(adapter, ticket)
    assert [int(reply.id) for reply in found[1:]] == ids
    before = adapter.http.requests_sent
    assert len(await replies_of(adapter, ticket)) == 231
    assert adapter.http.requests_sent - before == 2


async def test_who_is_who_is_decided_by_roles(connect, redmine, ticket):
    """Other roles make other sides; an administrator without a role is what the options say."""
    redmine.reply(ticket, "Soon.", by="agent")
    redmine.reply(ticket, "Indeed.", by="root")
    for options, kinds in (
        ({}, ("customer", "agent", "unknown")),
        ({"agent_roles": ["reporter"]}, ("agent", "customer", "unknown")),
        ({"agents": [redmine.user_id("root")]}, ("customer", "agent", "agent")),
        ({"non_members": "customer"}, ("customer", "agent", "customer")),
    ):
        found = await replies_of(connect(**options), ticket)
        assert tuple(reply.author.kind for reply in found) == kinds


async def test_the_feed_names_what_changed(adapter, redmine, ticket):
    """Notes of all kinds, statuses and assignees name their issue; an issue that nobody touched is not named again."""
    quiet = redmine.create_ticket("Quiet", "text")
    redmine.backdate(recently(60), quiet)
    redmine.backdate(recently(30), ticket)
    _, cursor = await changed(adapter, recently(1))
    for change in (
        lambda: redmine.reply(ticket, "Soon."),
        lambda: redmine.note(ticket, "Rings often."),
        lambda: redmine.set_status(ticket, "Closed"),
        lambda: redmine.assign(ticket, "agent"),
        lambda: redmine.attach(ticket, "screen.png", b"png"),
    ):
        redmine.backdate(recently(30), ticket)
        change()
        named, cursor = await changed(adapter, cursor)
        assert ticket in named
        assert quiet not in named


async def test_the_feed_reads_times_in_utc(adapter, redmine):
    """The server keeps its local time and the reader has another zone: neither moves the start of the feed."""
    early, late = (redmine.create_ticket("Printer", "text") for _ in range(2))
    start = recently() + timedelta(days=1)
    redmine.backdate(start - timedelta(minutes=11), early)
    redmine.backdate(start, late)
    try:
        named, _ = await changed(adapter, start)
        assert named == [late]
    finally:
        redmine.backdate(recently(60), early)
        redmine.backdate(recently(60), late)


async def test_the_boundary_second_is_read_again(adapter, redmine):
    """An issue that changes twice in one second is named again, and so is another one of that second."""
    first, second = (redmine.create_ticket("Printer", "text") for _ in range(2))
    moment = recently() + timedelta(days=2)
    redmine.backdate(moment + timedelta(milliseconds=200), first)
    named, cursor = await changed(adapter, moment)
    assert named == [first]
    redmine.backdate(moment + timedelta(milliseconds=700), first)
    redmine.backdate(moment + timedelta(milliseconds=900), second)
    named, _ = await changed(adapter, cursor)
    assert set(named) == {first, second}
    for key in (first, second):
        redmine.backdate(recently(60), key)


async def test_many_changes_cross_the_borders_of_pages(adapter, redmine):
    """More than two pages, all in one second, and some later ones are named without a gap."""
    moment = recently(60 * 24 * 30)
    same = redmine.write_tickets(230, moment)
    later = redmine.write_tickets(120, moment + timedelta(seconds=1))
    named, cursor = await changed(adapter, moment)
    assert {*same, *later} <= set(named)
    again, _ = await changed(adapter, cursor)
    assert not set(again) & set(same)


async def test_changes_while_pages_are_turned(adapter, redmine):
    """An issue of the first page that moves to the end lets no other one slip."""
    moment = recently(60 * 24 * 40)
    issues = [key for step in range(6) for key in redmine.write_tickets(30, moment + timedelta(seconds=step))]
    named = []
    async for page in adapter.changes(moment):
        if not named:
            redmine.reply(issues[0], "Moved.")
        named += page.ticket_ids
    assert set(issues) <= {int(key) for key in named}
