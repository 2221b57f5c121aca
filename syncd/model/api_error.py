"""The error body that the contract promises with 400, 401, 403, 404, 409, 429 and 500, read without trust."""

import json
from dataclasses import dataclass, field

from syncd.model.typed_arg import MOST_ITEMS, TypedArg, parse_typed_arg, plain_json, plain_text

LARGEST_BODY = 256 * 1024
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class ApiError:
    """What the API says went wrong; `str()` is one line for operators.

    `reference` names the field at fault, such as `parent.child`. `args` and `typed_args` may hold personal data:
    they are in neither the text nor the repr.
    """

    message: str
    code: str | None = None
    trace_id: str | None = None
    reference: str | None = None
    args: tuple[object, ...] = field(default=(), repr=False)
    typed_args: tuple[TypedArg, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        """Say message, field, code and trace id on one line, without line breaks or escape sequences."""
        notes = [
            f"{label} {text}"
            for label, text in (("at", self.reference), ("code", self.code), ("trace", self.trace_id))
            if text
        ]
        return (self.message or "no message") + (f" ({', '.join(notes)})" if notes else "")


def parse_api_error(body: bytes) -> ApiError | None:
    """Return the contract's error body, or None if these bytes are not one.

    It is one if it is a JSON object with a text `errorMessage`; every other field may be missing or broken.
    """
    if len(body) > LARGEST_BODY:
        return None
    try:
        # Lenient about encodings: a broken byte in a message must not turn the API's own answer into a stranger's.
        raw = json.loads(body.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("errorMessage"), str):
        return None
    args, typed_args = raw.get("args"), raw.get("typedArgs")
    return ApiError(
        message=plain_text(raw["errorMessage"]),
        code=_find_name(raw.get("errorCode")),
        trace_id=_find_name(raw.get("traceId")),
        reference=_find_name(raw.get("reference")),
        args=tuple(plain_json(item) for item in args[:MOST_ITEMS]) if isinstance(args, list) else (),
        typed_args=tuple(parse_typed_arg(item) for item in typed_args[:MOST_ITEMS])
        if isinstance(typed_args, list)
        else (),
    )


def _find_name(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64:
        value = str(value)
    return plain_text(value, LONGEST_NAME) or None if isinstance(value, str) else None
