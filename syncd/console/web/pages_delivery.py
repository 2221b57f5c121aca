"""One delivery in full: where it stands and why, its text, its attempts, who decided what, and what can be decided."""

from aiohttp import web

from syncd.console.deliveries_edit import edited, get_delivery
from syncd.console.evidence_page import EvidencePage, evidence_lines, look_for, read_evidence
from syncd.console.web.attention import back_to
from syncd.console.web.context import context_of, who_asks
from syncd.console.web.decisions import EDITABLE, WORDS, fitting, risk_of
from syncd.console.web.form_body import read_form
from syncd.console.web.forms import back_of, one_of, reason_of, seen_of, text_of
from syncd.console.web.rendering import render
from syncd.model.communication import Direction, Message
from syncd.model.errors import Conflict, UsageError
from syncd.store import chosen, standing
from syncd.store.database import Connection
from syncd.store.lists import DeliveryInFull

_DIRECTIONS = {one.value: one for one in Direction}


def add_routes(app: web.Application) -> None:
    """Add the pages."""
    app.router.add_get(r"/deliveries/{id:\d{1,18}}", _show)
    app.router.add_get(r"/deliveries/{id:\d{1,18}}/edit", _write)
    app.router.add_post(r"/deliveries/{id:\d{1,18}}/edit", _edit)


async def _get(request: web.Request) -> DeliveryInFull:
    context = context_of(request).acting_for("the status page")
    return await get_delivery(context, int(request.match_info["id"]))


async def _show(request: web.Request) -> web.StreamResponse:
    found = await _get(request)
    evidence = await _evidence(request, found)
    item = found.item
    return render(
        request,
        "delivery.html",
        title=f"Delivery {item.id}",
        live=True,
        found=found,
        item=item,
        message=found.message,
        lines=[] if evidence is None else list(evidence_lines(evidence, context_of(request).settings.zone)),
        evidence=evidence,
        look_for={} if evidence is None else look_for(evidence),
        actions=[(do, WORDS[do], risk_of(do, found)) for do in fitting(item.state)],
        edit_risk=None if evidence is None else evidence.judgement.risks.get("edit"),
        can_edit=item.state in EDITABLE,
    )


async def _evidence(request: web.Request, found: DeliveryInFull) -> EvidencePage | None:
    settings = context_of(request).settings
    configured = settings.api.get(found.item.api)
    zone = settings.zone if configured is None else configured.policy(found.item.api, settings.zone).zone
    return await context_of(request).database.read(lambda c: read_evidence(c, found, zone))


async def _write(request: web.Request) -> web.StreamResponse:
    # The version first: a text that changes in between is then one that was seen too early, and is not written over.
    seen = await _version(request, int(request.match_info["id"]))
    found = await _get(request)
    if found.item.state not in EDITABLE:
        raise Conflict(f"delivery {found.item.id} is {found.item.state.replace('_', ' ')} now, so it is not edited")
    return await _form(request, found, found.message, seen=seen)


async def _version(request: web.Request, delivery_id: int) -> str:
    found = await context_of(request).database.read(lambda c: chosen.find_by_ids(c, [delivery_id]))
    return "".join(f"{one.id}:{one.state}:{one.version}" for one in found)


async def _form(
    request: web.Request,
    found: DeliveryInFull,
    message: Message | None,
    *,
    seen: str,
    reason: str = "",
    preview: Message | None = None,
) -> web.StreamResponse:
    """Show the form, or with a preview what would be sent, to be confirmed."""
    form = await read_form(request) if request.method == "POST" else {}
    evidence = await _evidence(request, found)
    return render(
        request,
        "delivery_edit.html",
        title=f"Edit delivery {found.item.id}" if preview is None else f"Send delivery {found.item.id} with this text?",
        item=found.item,
        message=message,
        preview=preview,
        reason=reason,
        seen=seen,
        directions=list(_DIRECTIONS),
        risk=None if evidence is None else evidence.judgement.risks.get("edit"),
        back=back_of(form or request.query, f"/deliveries/{found.item.id}"),
    )


async def _edit(request: web.Request) -> web.StreamResponse:
    """Show what would be sent; once that was confirmed, put it in place of what was there and queue it."""
    found = await _get(request)
    form = await read_form(request)
    direction = one_of(_DIRECTIONS, text_of(form, "direction"), "the direction")
    subject, content = (text_of(form, name).replace("\r\n", "\n") for name in ("subject", "content"))
    message = edited(found, subject, content, direction)
    reason = reason_of(form)
    if text_of(form, "sure") != "yes":
        return await _form(request, found, message, seen=text_of(form, "seen"), reason=reason, preview=message)
    by = context_of(request).acting_for(who_asks(request)).decision(reason)
    seen = seen_of([text_of(form, "seen")])
    if list(seen) != [found.item.id]:
        raise UsageError("this form is of another delivery")

    def write(connection: Connection) -> None:
        chosen.decide_each(connection, seen, lambda c, one, by: standing.edit(c, one, message, by), by)

    await context_of(request).database.write(write)
    return _done(request, found.item.id, back_of(form, f"/deliveries/{found.item.id}"))


def _done(request: web.Request, delivery_id: int, back: str) -> web.StreamResponse:
    raise back_to(request, back, f"Delivery {delivery_id} has your text now, and is queued.")
