"""`syncd links`: the ties of tickets to threads."""

import sys
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from syncd.console import link_actions
from syncd.console.context import CommandContext, perform
from syncd.console.link_actions import count_waiting, get_link, parse_from
from syncd.console.link_page import advice, describe, from_words, link_values
from syncd.console.links_import import ImportResult, import_links, read_import
from syncd.console.output import Shown, counted, notice, print_json, say
from syncd.console.worker import carry_out, failure_of, has_ended
from syncd.model.communication import Thread
from syncd.model.errors import SyncdError, UsageError
from syncd.model.link import Link, LinkState, NewLink
from syncd.model.ticket import TicketRef
from syncd.store import links, standing
from syncd.store.requests import Request, RequestKind

app = typer.Typer(help="Tie tickets to threads.", add_completion=False, rich_markup_mode=None, no_args_is_help=True)
WAIT_SECONDS = 60.0

LinkId = Annotated[int, typer.Argument(metavar="ID", help="The link's id, as `syncd links list` shows it.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON array.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N alone.")]


@app.command("add")
def add_link(  # noqa: PLR0913, PLR0917 - each is an option of the command
    ctx: typer.Context,
    api: Annotated[str, typer.Option(metavar="NAME", help="The api, as in [api.NAME].")],
    customer: Annotated[int, typer.Option(metavar="N", help="The customer's id in the Open API.")],
    thread: Annotated[int, typer.Option(metavar="N", help="The thread's id in the Open API.")],
    system: Annotated[str, typer.Option(metavar="NAME", help="The ticketing system, as in [systems.NAME].")],
    ticket_number: Annotated[str | None, typer.Option(metavar="T", help="What people quote.")] = None,
    ticket_link: Annotated[str | None, typer.Option(metavar="URL", help="Its web address, instead.")] = None,
    begin: Annotated[
        str, typer.Option("--from", metavar="INSTANT", help="Sync from `now`, `start` or an instant (ISO 8601).")
    ] = "now",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the ticket was looked up.")] = True,
) -> None:
    """Tie a ticket to a thread, and look the ticket up.

    Registering the same again changes nothing. A ticket that cannot be looked up now stays registered.
    """
    if not 0 <= min(customer, thread) <= max(customer, thread) < 2**63:
        raise UsageError("--customer and --thread are ids of the Open API: whole numbers from 0 to 2^63-1")
    wanted = Thread(api, customer, thread)
    ref = _ref(ticket_number, ticket_link)

    async def work(context: CommandContext) -> None:
        context.get_api(api)
        context.get_system(system)
        now = context.clock.now()
        from_at, assumed = parse_from(begin, now, context.zone)
        if assumed:
            notice(f"{begin} has no time zone; it is taken as a time of {context.zone.key}")
        new = NewLink(wanted, system, ref, from_at)
        added = await context.database.write(lambda c: links.add(c, new, now))
        link = await get_link(context, added.link_id)
        say(f"link {link.id} {'added' if added.created else 'was there already'}: {describe(link)}")
        if link.state is LinkState.UNRESOLVED and wait:
            await _look_up(context, link)
        elif link.state is LinkState.UNRESOLVED:
            say("its ticket is looked up by the next sweep")

    perform(ctx, work)


def _ref(number: str | None, web_link: str | None) -> TicketRef:
    given = [text.strip() for text in (number, web_link) if text is not None]
    if len(given) != 1 or not given[0]:
        raise UsageError("name the ticket by --ticket-number or by --ticket-link, one of them")
    return TicketRef(number=given[0]) if number is not None else TicketRef(link=given[0])


async def _look_up(context: CommandContext, link: Link) -> None:
    """Have the ticket looked up and collected, and say what came of it."""
    arguments = {"tickets": [str(link.ref)]}
    try:
        request = await carry_out(context, RequestKind.POLL, link.system, arguments, wait_seconds=WAIT_SECONDS)
    except SyncdError as error:
        notice(f"the link stays, its ticket was not looked up: {error}")
        return
    _say_state(await get_link(context, link.id), request)


def _say_state(link: Link, request: Request) -> None:
    if link.state is LinkState.ACTIVE:
        say(f"link {link.id} is active: ticket {link.ticket_name}, {link.known_status or 'status unknown'}")
        return
    if link.state is LinkState.SUSPENDED:
        raise SyncdError(f"link {link.id} is suspended ({link.cause}): {link.reason}. {advice(link)}")
    why = failure_of(request) or ("it has not been carried out yet" if not has_ended(request) else "see the log")
    notice(f"link {link.id} stays unresolved and is tried again by every sweep; now: {why}")


@app.command("import")
def import_file(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV or JSON lines; `-` reads standard input.")],
) -> None:
    """Register many links. Bad lines are reported by number and the good ones kept; repeating is harmless.

    Columns: api, customer_id, thread_id, system, ticket_number or ticket_link, and from (as `links add --from`).
    No ticketing system is asked: the tickets are looked up by the next sweep.
    """

    async def work(context: CommandContext) -> ImportResult:
        return await import_links(context, read_import(file), parse_from)

    result = perform(ctx, work)
    for number, reason in result.bad:
        notice(f"line {number}: {reason}")
    say(f"{result.added} added, {result.there} there already, {len(result.bad)} bad")
    if result.bad:
        raise typer.Exit(1)


@app.command("list")
def list_links(
    ctx: typer.Context,
    state: Annotated[LinkState | None, typer.Option(help="Those in this state alone.")] = None,
    system: Annotated[str | None, typer.Option(metavar="NAME", help="Those of this system alone.")] = None,
    api: Annotated[str | None, typer.Option(metavar="NAME", help="Those to this api alone.")] = None,
    ticket: Annotated[str | None, typer.Option(metavar="T", help="Those of this ticket: number, link or id.")] = None,
    json: Json = False,
    limit: Limit = None,
) -> None:
    """List links, by id."""

    async def work(context: CommandContext) -> tuple[list[Link], ZoneInfo]:
        wanted = None if state is None else state.value
        found = await context.database.read(
            lambda c: links.listed(c, system=system, state=wanted, ticket=ticket, api=api, limit=limit)
        )
        return found, context.zone

    found, zone = perform(ctx, work)
    if json:
        print_json([link_values(link) for link in found])
        return
    Shown(zone).table(
        ("id", "state", "system", "ticket", "api", "customer", "thread", "from", "reason"),
        [
            (
                link.id,
                link.state,
                link.system,
                link.ticket_name,
                link.thread.api,
                link.thread.customer_id,
                link.thread.thread_id,
                from_words(link),
                link.reason,
            )
            for link in found
        ],
    )


@app.command("show")
def show_link(ctx: typer.Context, link_id: LinkId, json: Json = False) -> None:
    """Show one link with what is known of its ticket."""

    async def work(context: CommandContext) -> tuple[Link, ZoneInfo]:
        return await get_link(context, link_id), context.zone

    link, zone = perform(ctx, work)
    if json:
        print_json(link_values(link))
        return
    values = link_values(link) | {"subject": link.ticket.subject if link.ticket else None, "from": from_words(link)}
    Shown(zone).fields((name.replace("_", " "), value) for name, value in values.items())
    if link.state is LinkState.SUSPENDED:
        say(advice(link))


@app.command("resume")
def resume_link(
    ctx: typer.Context,
    link_id: LinkId,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with the ticket that its own was merged into.")
    ] = False,
) -> None:
    """Follow a suspended link again."""

    async def work(context: CommandContext) -> None:
        if follow:
            await _follow(context, await get_link(context, link_id))
            return
        resumed = await link_actions.resume_link(context, link_id)
        say(f"link {link_id} is {resumed.state}; its ticket is read by the next sweep")
        if resumed.merged_into is not None:
            notice(
                f"its ticket was merged into {resumed.merged_into}; to go on there: "
                f"syncd links resume {link_id} --follow"
            )

    perform(ctx, work)


async def _follow(context: CommandContext, link: Link) -> None:
    other = link_actions.merged_into(link)
    request = await carry_out(context, RequestKind.FOLLOW, link.system, {"link": link.id})
    failure = failure_of(request)
    if failure is not None:
        raise SyncdError(f"link {link.id} stays suspended: {failure}")
    by = context.decision(f"followed the merge into {other}")
    await context.database.write(lambda c: standing.write_decision(c, "follow", f"link {link.id}", by))
    now = await get_link(context, link.id)
    say(f"link {link.id} is {now.state} and follows ticket {now.ticket_name} from the merge on")


@app.command("remove")
def remove_link(
    ctx: typer.Context,
    link_id: LinkId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End a link. What still waits to be sent for it is skipped."""

    async def work(context: CommandContext) -> None:
        link = await get_link(context, link_id)
        if link.state is LinkState.REMOVED:
            say(f"link {link_id} was removed before")
            return
        waiting = await count_waiting(context, link_id)
        _confirm(f"Removing {describe(link)} skips {counted(waiting, 'waiting delivery')}.", yes=yes)
        skipped = await link_actions.remove_link(context, link_id)
        say(f"link {link_id} is removed; {counted(skipped or 0, 'delivery')} skipped")

    perform(ctx, work)


def _confirm(text: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{text} Nobody can be asked here; say --yes")
    notice(text)
    if not typer.confirm("Remove it?", err=True):
        raise SyncdError("nothing was changed")
