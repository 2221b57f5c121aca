"""The control API held against its own document: whatever is sent, the answer is one that is described.

A few examples of each operation, the same at each run; more by SYNCD_FUZZ_EXAMPLES (`make fuzz`), new ones each time.
"""

import asyncio
import os
import threading
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from syncd.console.web.control import ROUTES
from syncd.console.web.control_route import PREFIX
from syncd.console.web.openapi import describe
from syncd.model.clock import SystemClock
from syncd.model.delivery import DeliveryState
from syncd.store.database import open_database
from syncd.store.schema import ensure_schema
from tests.console.web.conftest import TOKEN, Served
from tests.console.web.stock import add_deliveries, add_link, suspend

EXAMPLES = int(os.environ.get("SYNCD_FUZZ_EXAMPLES", "0"))
FEW = 6
IDS = 12
"""So many of the lowest ids are asked for: most of them are there."""

SCHEMA = schemathesis.openapi.from_dict(describe(ROUTES, PREFIX))
if not EXAMPLES:
    # Every border of every value takes a minute; the examples are of all kinds, and `make fuzz` has the borders too.
    SCHEMA.config.phases.coverage.enabled = False
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.unsupported_method,
    openapi_checks.ignored_auth,
]


class Hasty(SystemClock):
    """A clock of which each look takes a second, so that nobody asks too often."""

    looks = 0

    def monotonic(self) -> float:
        """Return a second more than at the last look."""
        self.looks += 1
        return super().monotonic() + self.looks


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Return the address of a server in a thread of its own, with links and deliveries in every state."""
    started, ended = threading.Event(), asyncio.Event()
    found = {}

    async def serve() -> None:
        folder = tmp_path_factory.mktemp("schemathesis")
        database = open_database(f"sqlite:///{folder}/syncd.db")
        await ensure_schema(database, migrate=True)
        await fill(database)
        served = await Served(Path(folder), database, Hasty()).start()
        found.update(address=served.address, loop=asyncio.get_running_loop())
        started.set()
        await ended.wait()
        await served.close()
        await database.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(60)
    yield found["address"]
    found["loop"].call_soon_threadsafe(ended.set)
    thread.join()


async def fill(database):
    """Put some of everything into a database."""
    for number in range(4):
        link_id = await add_link(database, 500 + number, f"HD-{number}", system="desk" if number else "other")
        for state in (DeliveryState.PENDING, DeliveryState.PARKED, DeliveryState.IN_DOUBT):
            await add_deliveries(database, link_id, 1, state)
    await suspend(database, link_id)


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES // 10 or FEW,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_every_answer_is_one_that_is_described(case, address):
    """No bug, and no status, header or shape of an answer but those of the document; nothing without a token."""
    bring_home(case)
    # Through a proxy, where reading takes the token as well.
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "192.0.2.1"}
    case.call_and_validate(base_url=address, headers=headers, checks=CHECKS)


def bring_home(case):
    """Have most of what is asked about be there."""
    if isinstance(case.path_parameters.get("id"), int):
        case.path_parameters["id"] %= IDS
    if "name" in case.path_parameters:
        case.path_parameters["name"] = "berlin" if "/apis/" in case.path else "desk"
    if isinstance(case.body, dict):
        for key, name in (("api", "berlin"), ("system", "desk")):
            if isinstance(case.body.get(key), str):
                case.body[key] = name
