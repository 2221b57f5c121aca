"""What the sandbox can be told to do wrong: faults as values, for `Sandbox.plan`."""

import json
from dataclasses import dataclass, field
from enum import StrEnum


class Break(StrEnum):
    """Faults of the connection. `apply` means that the communication was added all the same."""

    CLOSE_BEFORE_READING = "close before reading"
    CLOSE_AFTER_READING = "close after reading"
    APPLY_THEN_CLOSE = "apply then close"
    HANG = "hang"
    APPLY_THEN_HANG = "apply then hang"
    GARBAGE = "garbage"
    APPLY_THEN_GARBAGE = "apply then garbage"
    THROTTLE = "throttle"


APPLIED = frozenset({Break.APPLY_THEN_CLOSE, Break.APPLY_THEN_HANG, Break.APPLY_THEN_GARBAGE})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer instead of the right one; with `applied` the communication was added all the same."""

    status: int
    body: bytes = field(default=b"", repr=False)
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    applied: bool = False


Fault = Answer | Break


def error_body(message: str, *, code: str | None = None, reference: str | None = None, trace_id: str = "") -> bytes:
    """Return the contract's error body."""
    fields = {"errorMessage": message, "errorCode": code, "reference": reference, "traceId": trace_id or None}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def refusal(status: int, message: str = "planned by the sandbox", *, applied: bool = False) -> Answer:
    """Return an answer in the API's own words: this status with the contract's error body."""
    return Answer(status, error_body(message, code="sandbox.planned"), applied=applied)


def stranger(status: int, *, applied: bool = False) -> Answer:
    """Return an answer of something before the API, such as a proxy: this status with a web page."""
    page = b"<html><body>planned by the sandbox</body></html>"
    return Answer(status, page, media_type="text/html", applied=applied)


def redirect(location: str, status: int = 307) -> Answer:
    """Return a redirect to an address."""
    return Answer(status, headers=(("Location", location),))


def broken_success(body: bytes = b"added, thanks") -> Answer:
    """Return a 200 that was applied and whose body breaks the contract."""
    return Answer(200, body, media_type="text/plain", applied=True)


def parse_fault(text: str) -> Fault:
    """Turn what a person types into a fault: `hang`, `apply then close`, `503`, `bare 503`, `redirect` ...

    Raises:
        ValueError: no such fault; the message lists what there is.
    """
    words = " ".join(text.lower().replace("_", " ").split())
    bare, _, number = words.rpartition("bare ")
    if number.isdecimal() and number.isascii() and not bare and 200 <= int(number) <= 599:
        return stranger(int(number)) if words.startswith("bare ") else refusal(int(number))
    if words == "redirect":
        return redirect("/elsewhere")
    try:
        return Break(words)
    except ValueError:
        known = ", ".join(Break)
        raise ValueError(f"{text!r} is no fault; there are: {known}, redirect, a status, bare and a status") from None
