"""The table of all adapters and what they can do, made from the code and written into the pages that show it.

`make docs` runs it; a test holds the pages against it.
"""

import re
from pathlib import Path

from syncd.sources.adapter import Capability
from syncd.sources.registry import adapter_names, load_adapter

ROOT = Path(__file__).parents[2]
PAGES = {ROOT / "README.md": "docs/adapters/", ROOT / "docs" / "adapters" / "README.md": ""}
COLUMNS = {
    Capability.CHANGE_FEED: "change feed",
    Capability.BULK_TICKETS: "bulk tickets",
    Capability.BULK_REPLIES: "bulk replies",
}
BEGIN = "| adapter | system |"


def own_adapters() -> list[str]:
    """Return the names of the adapters of this repository."""
    return [name for name in adapter_names() if load_adapter(name).__module__.startswith("adapters.")]


def table(folder: str) -> str:
    """Return the table, with links to pages in that folder."""
    lines = [f"{BEGIN} {' | '.join(COLUMNS.values())} | webhooks | page |", "|---" * (4 + len(COLUMNS)) + "|"]
    for name in own_adapters():
        adapter = load_adapter(name)
        can = " | ".join("yes" if capability in adapter.capabilities else "" for capability in COLUMNS)
        hooks = "" if adapter.webhook is None else "signed" if adapter.webhook.proof.is_signature else "secret"
        lines.append(f"| `{name}` | {adapter.title} | {can} | {hooks} | [{name}]({folder}{name}.md) |")
    return "\n".join(lines) + "\n"


def shown_table(page: Path) -> str:
    """Return the table as a page has it."""
    found = re.search(
        rf"^{re.escape(BEGIN)}.*?\n(?!\|)", page.read_text(encoding="utf-8") + "\n", re.MULTILINE | re.DOTALL
    )
    assert found, f"{page} has no table of adapters"
    return found[0]


def main() -> None:
    """Write the table into the pages."""
    for page, folder in PAGES.items():
        page.write_text(page.read_text(encoding="utf-8").replace(shown_table(page), table(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
