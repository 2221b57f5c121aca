"""What is done to a link from its page: each with a page of its own that says what it does, and asks for a reason."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from syncd.console import link_actions
from syncd.console.context import CommandContext
from syncd.console.output import counted
from syncd.console.web.attention import back_to
from syncd.console.web.context import context_of, who_asks
from syncd.console.web.form_body import read_form
from syncd.console.web.forms import reason_of
from syncd.console.web.rendering import render
from syncd.model.link import Link


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in words, and the request that was left for the worker, if one was."""

    words: str
    request_id: int | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a person can do to a link. `check` refuses it for one to which it does not fit."""

    title: str
    button: str
    check: Callable[[Link], object]
    explain: Callable[[CommandContext, Link], Awaitable[str]]
    act: Callable[[CommandContext, int, str], Awaitable[Done]]


def add_routes(app: web.Application) -> None:
    """Add the pages."""
    actions = "|".join(ACTIONS)
    app.router.add_get(rf"/links/{{id:\d{{1,18}}}}/{{action:{actions}}}", _ask)
    app.router.add_post(rf"/links/{{id:\d{{1,18}}}}/{{action:{actions}}}", _act)
    app.router.add_post(r"/links/{id:\d{1,18}}/poll", _poll)


async def _ask(request: web.Request, message: str = "") -> web.StreamResponse:
    context = context_of(request).acting_for("the status page")
    action = ACTIONS[request.match_info["action"]]
    link = await link_actions.get_link(context, int(request.match_info["id"]))
    action.check(link)
    return render(
        request,
        "link_decision.html",
        status=400 if message else 200,
        title=f"{action.title} {link.id}",
        link=link,
        action=action,
        explained=await action.explain(context, link),
        message=message,
    )


async def _act(request: web.Request) -> web.StreamResponse:
    reason = reason_of(await read_form(request))
    if not reason:
        return await _ask(request, "Say why: it stays in the records.")
    link_id = int(request.match_info["id"])
    context = context_of(request).acting_for(who_asks(request))
    done = await ACTIONS[request.match_info["action"]].act(context, link_id, reason)
    return await _back(request, link_id, done)


async def _poll(request: web.Request) -> web.StreamResponse:
    link_id = int(request.match_info["id"])
    request_id = await link_actions.ask_to_poll(context_of(request).acting_for(who_asks(request)), link_id)
    return await _back(request, link_id, Done("Its ticket is read now.", request_id))


async def _back(request: web.Request, link_id: int, done: Done) -> web.StreamResponse:
    context = context_of(request)
    link = await link_actions.get_link(context.acting_for(who_asks(request)), link_id)
    context.poke(link.system)
    asked = "" if done.request_id is None else f"?asked={done.request_id}"
    return back_to(request, f"/links/{link_id}{asked}", done.words)


async def _explain_resume(_context: CommandContext, link: Link) -> str:
    waits = f"It is suspended: {link.reason or link.cause}. Its ticket is read again, and what waits for it is sent."
    if link.merged_into is None:
        return waits
    return (
        f"{waits} Its ticket was merged into {link.merged_into}, which this does not follow: it is suspended again "
        "if that is still so. To go on with the other ticket, follow the merge instead."
    )


async def _resume(context: CommandContext, link_id: int, reason: str) -> Done:
    resumed = await link_actions.resume_link(context, link_id, reason)
    return Done(f"The link is {resumed.state}; its ticket is read by the next sweep.")


async def _explain_follow(_context: CommandContext, link: Link) -> str:
    return (
        f"Its ticket was merged into {link.merged_into}. From the merge on the replies of that one are sent to this "
        "thread; what was delivered stays as it is, and nothing of it is sent again."
    )


async def _follow(context: CommandContext, link_id: int, reason: str) -> Done:
    request_id = await link_actions.ask_to_follow(context, link_id, reason)
    return Done("The worker is asked to follow the merge.", request_id)


async def _explain_remove(context: CommandContext, link: Link) -> str:
    number = await link_actions.count_waiting(context, link.id)
    waiting = "1 waiting delivery is" if number == 1 else f"{number} waiting deliveries are"
    return (
        f"Its ticket is not read any more, and {waiting} skipped. What was delivered stays in the thread. The same "
        "ticket and thread can be linked again, which sends nothing twice."
    )


async def _remove(context: CommandContext, link_id: int, reason: str) -> Done:
    skipped = await link_actions.remove_link(context, link_id, reason)
    if skipped is None:
        return Done("The link was removed before.")
    return Done(f"The link is removed; {counted(skipped, 'delivery')} skipped.")


ACTIONS = {
    "resume": Action("Resume link", "Resume it", link_actions.check_suspended, _explain_resume, _resume),
    "follow": Action("Follow the merge of link", "Follow it", link_actions.merged_into, _explain_follow, _follow),
    "remove": Action("Remove link", "Remove it", link_actions.check_not_removed, _explain_remove, _remove),
}
