"""Every adapter as its page configures it, over an HTTP that answers whatever it is told to."""

import json
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from syncd.sources.adapter import Adapter, Response
from syncd.sources.registry import load_adapter, validate_options

PAGES = Path(__file__).parents[2] / "docs" / "adapters"
NAMES = sorted(page.stem for page in PAGES.glob("[a-z]*.md"))
MOST_REQUESTS = 40


class Asked(Exception):
    """A request was made, and nobody answers."""


class AnsweringHttp:
    """The HTTP of an adapter: each request gets the next of these answers, as JSON; without any it is `Asked`."""

    def __init__(self, *answers: object) -> None:
        self.paths: list[str] = []
        self._answers = answers

    async def get(self, path: str, *, expect: Collection[int] = (), **_: Any) -> Response:
        """Answer a GET."""
        return self._answer(path)

    async def post(self, path: str, *, expect: Collection[int] = (), **_: Any) -> Response:
        """Answer a POST."""
        return self._answer(path)

    def _answer(self, path: str) -> Response:
        self.paths.append(path)
        if not self._answers or len(self.paths) > MOST_REQUESTS:
            raise Asked(path)
        body = self._answers[(len(self.paths) - 1) % len(self._answers)]
        return Response(200, {"Content-Type": "application/json"}, json.dumps(body).encode(), path)


def options_of(name: str) -> Mapping[str, Any]:
    """Return the options that the adapter's page shows first."""
    shown = re.findall(
        r"^```toml\n(.*?)^```", (PAGES / f"{name}.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    systems = [system for text in shown for system in tomllib.loads(text).get("systems", {}).values()]
    return next(one["options"] for one in systems if one.get("adapter") == name and "options" in one)


def open_over(name: str, http: AnsweringHttp) -> Adapter[Any]:
    """Return the adapter of that name over an HTTP."""
    adapter = load_adapter(name)
    return adapter(validate_options(adapter, options_of(name)), http)
