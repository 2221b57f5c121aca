"""`syncd adapters`: the kinds of ticketing systems that are installed."""

from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from syncd.console.output import Shown, print_json
from syncd.model.errors import SyncdError


def adapters(
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """List the adapters that are installed: names, what they can do, where their API is documented."""
    from syncd.sources.registry import adapter_names  # noqa: PLC0415 - it imports the vendors' HTTP, a third of a second

    found = [_values(name) for name in adapter_names()]
    if json:
        print_json(found)
        return
    Shown(ZoneInfo("UTC")).table(
        ("name", "title", "can", "documentation"),
        [
            (one["name"], one["title"], ", ".join(one["capabilities"]) or one["problem"], one["documentation"])
            for one in found
        ],
    )


def _values(name: str) -> dict[str, Any]:
    from syncd.sources.registry import load_adapter  # noqa: PLC0415 - see above

    values: dict[str, Any] = {
        "name": name,
        "title": None,
        "capabilities": [],
        "documentation": None,
        "permissions": None,
        "problem": None,
    }
    try:
        adapter = load_adapter(name)
    except SyncdError as error:  # one that cannot be imported hides no other
        return values | {"problem": str(error)}
    return values | {
        "title": adapter.title,
        "capabilities": sorted(capability.value for capability in adapter.capabilities),
        "documentation": adapter.documentation,
        "permissions": adapter.permissions,
    }
