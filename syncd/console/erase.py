"""`syncd erase`: what belongs to one customer goes, from the tables and from the files of the database."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.deliveries_bulk import confirm
from syncd.console.output import Shown, counted, say
from syncd.model.delivery import DeliveryState
from syncd.model.errors import StoreError, SyncdError
from syncd.store import scrub
from syncd.store.database import Connection
from syncd.store.erase import (
    CustomerThread,
    ErasedThread,
    erase_requests,
    erase_thread,
    find_customer,
    record_erasure,
)
from syncd.store.standing import Decision

WIRE_SECONDS = 90.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """A customer at one api, with the threads that are known."""

    customer_id: int
    api: str
    threads: tuple[CustomerThread, ...]


def erase(
    ctx: typer.Context,
    customer: Annotated[
        list[int], typer.Option(min=0, metavar="ID", help="The customer's id at the api. May be said several times.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the records with your name.")],
    api: Annotated[
        str | None, typer.Option(metavar="NAME", help="At this api alone; the same id elsewhere is another person.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Say what it is about, and do not ask.")] = False,
) -> None:
    """Erase texts and names of a customer, and end the customer's links.

    Ids, numbers, times and states stay, so that nothing is sent twice. What waits is skipped; what is in doubt stays
    so without its text. The database is written anew after it, and whoever writes meanwhile waits.
    """

    async def work(context: CommandContext) -> bool:
        by = context.decision(reason)
        known = await _find(context, list(dict.fromkeys(customer)), api)
        _preview(known, Shown(context.zone))
        confirm("Erase them? Nothing brings it back.", yes=yes)
        left = await _erase_all(context, known, by)
        return await _rewrite(context) and not left

    if not perform(ctx, work):
        raise typer.Exit(1)


async def _find(context: CommandContext, customer_ids: Sequence[int], api: str | None) -> list[Known]:
    known = []
    for customer_id in customer_ids:
        threads = await context.database.read(lambda c: find_customer(c, customer_id, api))  # noqa: B023 - awaited at once
        if not threads:
            where = "in this database" if api is None else f"at {api}"
            raise SyncdError(
                f"customer {customer_id} is not known {where}: there is no link and no delivery. {_NOTHING}"
            )
        by_api: dict[str, list[CustomerThread]] = {}
        for one in threads:
            by_api.setdefault(one.api, []).append(one)
        known += [Known(customer_id, name, tuple(some)) for name, some in by_api.items()]
    return known


_NOTHING = "Nothing was changed."


def _preview(known: Sequence[Known], shown: Shown) -> None:
    columns = (
        "customer",
        "api",
        "threads",
        "links to end",
        "deliveries",
        "with a text",
        "to skip",
        "in doubt",
        "on the wire",
    )
    rows = []
    for one in known:
        states = sum((Counter(thread.deliveries) for thread in one.threads), Counter[str]())
        rows.append(
            (
                one.customer_id,
                one.api,
                len(one.threads),
                sum(thread.links for thread in one.threads),
                sum(states.values()),
                sum(thread.texts for thread in one.threads),
                states[DeliveryState.PENDING.value] + states[DeliveryState.PARKED.value],
                states[DeliveryState.IN_DOUBT.value],
                states[DeliveryState.SENDING.value],
            )
        )
    shown.table(columns, rows)
    say("The links end, as the next sweep would else read the texts again. What is in doubt can no longer be resent.")
    apis = Counter(one.customer_id for one in known)
    for customer_id, number in apis.items():
        if number > 1:
            say(f"Customer {customer_id} is known at {number} apis; is it the same person? If not, say --api.")


async def _erase_all(context: CommandContext, known: Sequence[Known], by: Decision) -> int:
    """Erase thread by thread; wait for what is on the wire, and return how much of it is left."""
    for one in known:
        await context.database.write(lambda c: _record(c, one, by))  # noqa: B023 - awaited at once
    total = await _erase_threads(context, [thread for one in known for thread in one.threads])
    say(
        f"erased: {counted(total.texts, 'delivery')} with a text; {counted(total.links, 'link')} ended, "
        f"{counted(total.skipped, 'delivery')} skipped, {total.in_doubt} in doubt without a text now"
    )
    if total.on_the_wire:
        say(
            f"{counted(total.on_the_wire, 'delivery')} are on the wire, or were when a worker died, and keep their "
            "text. Run the same again once `syncd deliveries list --state sending` shows none of them."
        )
    return total.on_the_wire


def _record(connection: Connection, known: Known, by: Decision) -> None:
    record_erasure(connection, known.customer_id, known.api, by)
    erase_requests(connection, known.threads)


async def _erase_threads(context: CommandContext, threads: Sequence[CustomerThread]) -> ErasedThread:
    """Erase threads, those with something on the wire again until its outcome is in."""
    total = Counter[str]()
    todo, until = [one.thread_key for one in threads], context.clock.monotonic() + WIRE_SECONDS
    while True:
        left: list[int] = []
        on_the_wire = 0
        for thread_key in todo:
            done = await _erase_one(context, thread_key)
            total.update(links=done.links, skipped=done.skipped, texts=done.texts)
            on_the_wire += done.on_the_wire
            if done.on_the_wire:
                left.append(thread_key)
            else:
                total.update(in_doubt=done.in_doubt)
        if not left or context.clock.monotonic() >= until:
            return ErasedThread(total["links"], total["skipped"], total["texts"], total["in_doubt"], on_the_wire)
        todo = left
        await context.clock.sleep(LOOK_SECONDS)


async def _erase_one(context: CommandContext, thread_key: int) -> ErasedThread:
    now = context.clock.now()
    return await context.database.write(lambda c: erase_thread(c, thread_key, now))


async def _rewrite(context: CommandContext) -> bool:
    """Leave nothing of it in the files either."""
    failure = await scrub.rewrite(context.database_url, context.clock)
    if failure is not None:
        raise StoreError(
            f"it is erased from the tables, and pieces may still be in the files of {context.database.where}, as "
            f"they could not be written anew: {failure}. Run the same again, if need be while the worker is stopped."
        )
    say("the database is written anew; backups still hold what was erased")
    return True
