"""`/metrics`: what this worker counted and how things stand, as Prometheus reads it."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from aiohttp import web
from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from syncd.console.web.context import WebContext, context_of
from syncd.console.web.gauges import Stored, families, read_stored
from syncd.console.web.remembered import Remembered
from syncd.model.errors import StoreError

PATIENCE_SECONDS = 5.0
"""So long a scrape waits for the database; then it has what this worker knows by itself."""


def add_routes(app: web.Application, context: WebContext) -> None:
    """Add the address."""

    async def read() -> Stored:
        return await context.database.read(read_stored)

    app.router.add_get("/metrics", partial(_metrics, Remembered(context.clock, read)))


async def _metrics(stored: Remembered[Stored], request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    settings = context.settings
    gauges = families(settings, context.readings(), await _find(stored), context.clock.now())
    try:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    except (TypeError, ValueError):  # a version that is no number
        encode, content_type = choose_encoder("")
    # In a thread: with hundreds of apis these are ten thousand lines, for which nothing else should wait.
    text = await asyncio.to_thread(encode, _Scrape(context.registry, tuple(gauges)))
    return web.Response(body=text, headers={"Content-Type": content_type})


async def _find(stored: Remembered[Stored]) -> Stored | None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await stored.get()
    except (StoreError, TimeoutError):
        return None


@dataclass(frozen=True, slots=True)
class _Scrape(Collector):
    """What is answered once: what was counted, and gauges that were read for it."""

    counted: Collector
    gauges: Sequence[Metric]

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, without the instants at which its counters were made, which nobody asks for."""
        for metric in (*self.counted.collect(), *self.gauges):
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
