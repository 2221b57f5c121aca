"""Bodies of answers, read with suspicion: a proxy's HTML with status 200 is not an answer of the vendor."""

from typing import Any

import orjson

from syncd.model.errors import UnexpectedAnswer


def parse_json(body: bytes, content_type: str, path: str) -> Any:
    """Return the JSON value of a body.

    Raises:
        UnexpectedAnswer: not JSON; the message tells path, content type and size, never the text.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        kind = content_type.split(";", maxsplit=1)[0].strip() or "no content type"
        raise UnexpectedAnswer(
            f"{path} answered {len(body)} bytes of {kind} that are not JSON; "
            "is base_url the address of the API, and is a proxy or a login page in between?"
        ) from None
