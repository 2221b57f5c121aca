"""Logging in: the token for a cookie, with the name that decisions are recorded under."""

from functools import partial

from aiohttp import web

from syncd.console.web import session
from syncd.console.web.context import context_of
from syncd.console.web.form_body import read_form
from syncd.console.web.guards import Guard, Refused
from syncd.console.web.rendering import render


def add_routes(app: web.Application, guard: Guard) -> None:
    """Add the pages."""
    app.router.add_get("/login", _show)
    app.router.add_post("/login", partial(_log_in, guard))
    app.router.add_post("/logout", _log_out)


async def _show(request: web.Request) -> web.StreamResponse:
    return _page(request)


def _page(
    request: web.Request, message: str = "", status: int = 200, name: str = "", retry_seconds: int | None = None
) -> web.Response:
    back = safe_path(request.query.get("next", "/"))
    headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}
    return render(
        request, "login.html", status=status, headers=headers, title="Log in", back=back, message=message, name=name
    )


async def _log_in(guard: Guard, request: web.Request) -> web.StreamResponse:
    form = await read_form(request)
    given, name, back = (str(form.get(field, "")).strip() for field in ("token", "name", "next"))
    context = context_of(request)
    token = context.settings.console.token
    if token is None:
        raise Refused(403, "there is nothing to log in to: set [console] token in the settings")
    name = "".join(letter for letter in name if letter.isprintable())[: session.LONGEST_NAME]
    if not name:
        return _page(request, "Say who you are: it stays in the records of what you decide.", 400)
    try:
        guard.check_token(request, given)
    except Refused as refused:
        return _page(request, f"{str(refused).capitalize()}.", refused.status, name, refused.retry_seconds)
    response = web.HTTPSeeOther(safe_path(back))
    response.set_cookie(
        session.COOKIE,
        session.issue(token.get_secret_value(), name, context.clock.now()),
        max_age=int(session.LIFE.total_seconds()),
        httponly=True,
        samesite="Strict",
        secure=request.headers.get("Origin", "").startswith("https:"),
        path="/",
    )
    raise response


async def _log_out(_request: web.Request) -> web.StreamResponse:
    response = web.HTTPSeeOther("/")
    response.del_cookie(session.COOKIE, path="/")
    raise response


def safe_path(path: str) -> str:
    """Return a path of ours to go back to; anything that leads elsewhere becomes the first page."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_ours else "/"
