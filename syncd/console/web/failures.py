"""What went wrong, as an answer: JSON for programs, a page for people. Nothing of a traceback leaves syncd."""

from collections.abc import Sequence
from dataclasses import asdict

from aiohttp import web
from loguru import logger

from syncd.console.web.guards import CONTROL, Handler, Refused, Unfit
from syncd.console.web.rendering import render
from syncd.model.errors import Conflict, Missing, Problem, StoreError, SyncdError, UsageError

UNAVAILABLE = 503
RETRY_SECONDS = 5


@web.middleware
async def answer_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure with its status and a sentence."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer = failure(request, error.status, _words(error))
        if isinstance(error, web.HTTPMethodNotAllowed):
            answer.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return answer
    except Unfit as error:
        return failure(request, error.status, str(error), problems=error.problems)
    except (Refused, SyncdError, TimeoutError) as error:
        return failure(request, *_foreseen(error))
    except (web.RequestPayloadError, ConnectionError):
        return failure(request, 400, "the body did not arrive whole")
    except Exception as error:  # noqa: BLE001 - a bug in a page must not end the worker
        # The route is ours; the path and its query are of whoever asked.
        route = request.match_info.route.resource
        logger.bind(route=route.canonical if route else None).opt(exception=error).error("a request was not answered")
        return failure(request, 500, "a bug of syncd; its log has the details")


def _words(error: web.HTTPException) -> str:
    """Say in a sentence what aiohttp says in its own words, or with the size of what was sent."""
    match error:
        case web.HTTPNotFound():
            return "there is nothing here"
        case web.HTTPMethodNotAllowed():
            return f"this is not done with {error.method[:20]}, but with {', '.join(sorted(error.allowed_methods))}"
        case web.HTTPRequestEntityTooLarge():
            return "the body is too large"
        case _:
            return error.reason


def _foreseen(error: Exception) -> tuple[int, str, int | None]:
    """Return the status of a failure, what it says, and after how many seconds to try again."""
    match error:
        case Refused():
            return error.status, str(error), error.retry_seconds
        case Missing():
            return 404, str(error), None
        case Conflict():
            return 409, str(error), None
        case UsageError():
            return 400, str(error), None
        case StoreError() | TimeoutError():
            return UNAVAILABLE, f"the database cannot be used now: {error}", RETRY_SECONDS
        case _:
            return 409, str(error), None


def failure(
    request: web.Request,
    status: int,
    message: str | None,
    retry_seconds: int | None = None,
    problems: Sequence[Problem] = (),
) -> web.StreamResponse:
    """Return an answer that says what is wrong."""
    text = message or "this cannot be answered"
    headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if wants_json(request):
        more = {"problems": [asdict(one) for one in problems]} if problems else {}
        return web.json_response({"error": text} | more, status=status, headers=headers)
    return render(request, "failure.html", status=status, headers=headers, title="Not done", message=text)


def wants_json(request: web.Request) -> bool:
    """Say whether a program asks, and not a person with a browser."""
    return request.path.startswith((CONTROL, "/hooks/", "/metrics", "/healthz", "/readyz")) or (
        "text/html" not in request.headers.get("Accept", "*/*") and "*/*" not in request.headers.get("Accept", "*/*")
    )
