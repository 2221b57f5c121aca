"""Deciding about deliveries, one or several: first what it means and risks, then all of them or none."""

from collections import Counter

from aiohttp import web

from syncd.console.output import counted
from syncd.console.web.attention import back_to
from syncd.console.web.context import context_of, who_asks
from syncd.console.web.decisions import WORDS, Do, carry, hindrances, risk_of
from syncd.console.web.form_body import read_form
from syncd.console.web.forms import back_of, ids_of, one_of, reason_of, seen_of, text_of
from syncd.console.web.rendering import render
from syncd.model.errors import Missing, SyncdError
from syncd.store import chosen, lists
from syncd.store.chosen import Chosen
from syncd.store.database import Connection
from syncd.store.lists import DeliveryInFull
from syncd.store.standing import Decision

_LIST = "/needs-person"
_DECISIONS = {do.value: do for do in Do}
MOST_NAMED = 10


def add_routes(app: web.Application) -> None:
    """Add the pages."""
    app.router.add_get("/deliveries/confirm", _confirm)
    app.router.add_post("/deliveries/decide", _decide)


async def _confirm(request: web.Request) -> web.StreamResponse:
    """Say what a decision means and risks, with a form that makes it."""
    do = one_of(_DECISIONS, request.query.get("do", ""), "the decision")
    ids = ids_of(request.query.getall("id", []))
    back = back_of(request.query, _LIST)
    if not ids:
        raise back_to(request, back, "Nothing was chosen: tick the deliveries that you decide about.")

    def read(connection: Connection) -> tuple[list[Chosen], list[DeliveryInFull]]:
        return chosen.find_by_ids(connection, ids), [_get(connection, one) for one in ids]

    looked_at, deliveries = await context_of(request).database.read(read)
    against = hindrances(do, deliveries)
    return render(
        request,
        "decide.html",
        status=409 if against else 200,
        title=f"{WORDS[do].question} {counted(len(ids), 'delivery')}?",
        do=do,
        words=WORDS[do],
        hindrances=against,
        risks=[] if against else Counter(risk_of(do, one) for one in deliveries).most_common(),
        deliveries=[one.item for one in deliveries],
        seen=[f"{one.id}:{one.state}:{one.version}" for one in looked_at],
        back=back,
    )


def _get(connection: Connection, delivery_id: int) -> DeliveryInFull:
    found = lists.find_delivery(connection, delivery_id)
    if found is None:
        raise Missing(f"there is no delivery {delivery_id}")
    return found


async def _decide(request: web.Request) -> web.StreamResponse:
    """Make the decision about all that was looked at, or about none of it."""
    form = await read_form(request)
    do = one_of(_DECISIONS, text_of(form, "do"), "the decision")
    seen = seen_of(form.getall("seen", []))
    by = context_of(request).acting_for(who_asks(request)).decision(reason_of(form))

    def one(connection: Connection, delivery_id: int, by: Decision) -> None:
        carry(do, connection, delivery_id, seen[delivery_id][0], by)

    try:
        await context_of(request).database.write(lambda c: chosen.decide_each(c, seen, one, by))
    except SyncdError as error:
        raise type(error)(f"nothing was changed: {str(error).rstrip('.')}") from None
    raise back_to(request, back_of(form, _LIST), f"{_named(list(seen))}: {WORDS[do].done}.")


def _named(ids: list[int]) -> str:
    named = f" ({', '.join(map(str, ids))})" if len(ids) <= MOST_NAMED else ""
    return f"{counted(len(ids), 'delivery')}{named}"
