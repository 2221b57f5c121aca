"""Every page in a real browser: nothing is complained about, nobody is shut out, nobody else is asked."""

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="session"),
]

SEVERE = {"serious", "critical"}


def pages(scene) -> dict[str, str]:
    """Return an address for every kind of page, by a name."""
    doubtful, refused = scene.ids["doubtful"], scene.ids["refused"]
    return {
        "overview": "/",
        "needs-person": "/needs-person",
        "delivery-in-doubt": f"/deliveries/{doubtful}",
        "delivery-confirm": f"/deliveries/confirm?do=delivered&id={doubtful}",
        "delivery-edit": f"/deliveries/{refused}/edit",
        "links": "/links",
        "link": "/links/1",
        "link-waits": "/links/2",
        "link-merged": "/links/3",
        "link-remove": "/links/2/remove",
        "backfills": "/backfills",
        "backfill": f"/backfills/{scene.backfill}",
        "backfill-stop": f"/backfills/{scene.backfill}/stop",
        "api-resume": "/apis/hamburg/resume",
        "login": "/login",
    }


async def test_no_page_shuts_anybody_out(scene, visit) -> None:
    """axe finds nothing serious or critical on any page, in light and in dark, and the browser has no complaint."""
    ann = await visit(scene.address)
    await ann.go("/")
    await ann.log_in()
    axe, found = Axe(), []
    for name, path in pages(scene).items():
        await ann.page.emulate_media(color_scheme="light")
        await ann.go(path)
        await ann.keep(f"{name}-light")
        found += _severe(name, (await axe.run(ann.page)).response)
        # Colours alone differ in the dark.
        await ann.page.emulate_media(color_scheme="dark")
        await ann.keep(f"{name}-dark")
        found += _severe(f"{name} in the dark", await ann.page.evaluate("axe.run({runOnly: ['color-contrast']})"))
    assert found == []


def _severe(name: str, found: Any) -> list[str]:
    """Return what axe found, and would keep somebody from using the page."""
    severe = [one for one in found["violations"] if one["impact"] in SEVERE]
    return [f"{name}: {one['id']} at {[node['target'] for node in one['nodes']][:3]}" for one in severe]
