"""The contract of adapters about failures: waits, nonsense, cancelling, and secrets."""

import asyncio
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from syncd.model.errors import RetryLater, SettingsError, SyncdError
from syncd.model.ticket import TicketRef
from syncd.sources.adapter import Capability
from syncd.sources.registry import OpenedAdapter, open_adapter, validate_options
from syncd.testing.contract_base import ContractBase, crossing_borders, instants, offered, read_pages, read_replies
from syncd.testing.vendor import Vendor
from syncd.testing.virtual_clock import VirtualClock


class FailureContract(ContractBase):
    """What happens when something goes wrong."""

    async def test_a_short_retry_after_is_waited_out(
        self, opened: OpenedAdapter, vendor: Vendor, clock: VirtualClock
    ) -> None:
        """429 with Retry-After delays the answer by that time."""
        await opened.adapter.check()
        await offered(vendor.throttle_next(37))
        before = clock.monotonic()
        await opened.adapter.check()
        assert clock.monotonic() - before >= 37

    async def test_a_long_retry_after_is_handed_on(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """429 with a wait of minutes becomes RetryLater with that wait."""
        await opened.adapter.check()
        await offered(vendor.throttle_next(600))
        with pytest.raises(RetryLater) as caught:
            await opened.adapter.check()
        assert caught.value.wait_seconds == pytest.approx(600, abs=2)

    async def test_failure_is_not_absence(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """A login page or an error with status 200 is a failure; it never reads as a ticket without replies."""
        seeded = await vendor.seed_ticket(instants(vendor, [0, 1]))
        ticket = await opened.adapter.resolve(TicketRef(number=seeded.number))
        await offered(vendor.answer_nonsense_next())
        with pytest.raises(SyncdError):
            await read_replies(opened, ticket)
        await offered(vendor.answer_nonsense_next())
        with pytest.raises(SyncdError):
            await opened.adapter.tickets([seeded.id])
        if Capability.CHANGE_FEED in self.adapter.capabilities:
            await offered(vendor.answer_nonsense_next())
            with pytest.raises(SyncdError):
                await read_pages(opened, instants(vendor, [0])[0])

    async def test_cancelling_leaves_nothing_open(
        self, opened: OpenedAdapter, vendor: Vendor, clock: VirtualClock
    ) -> None:
        """A read that is cancelled, or given up half-way, leaves no request behind, and the next one works."""
        seeded = await vendor.seed_ticket(crossing_borders(vendor))
        ticket = await opened.adapter.resolve(TicketRef(number=seeded.number))
        reading = opened.adapter.replies(ticket, None)
        await anext(reading)
        await reading.aclose()  # type: ignore[attr-defined]  # replies() is an async generator in every adapter
        assert opened.http.requests_under_way == 0
        await offered(vendor.hang_next())
        task = asyncio.create_task(read_replies(opened, ticket))
        await clock.sleep(5)
        assert opened.http.requests_under_way == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert opened.http.requests_under_way == 0
        assert len(await read_replies(opened, ticket)) == len(seeded.reply_ids)

    async def test_secrets_appear_nowhere(
        self, vendor: Vendor, clock: VirtualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Secrets are in no repr, no log and no error, whether they are right or wrong."""
        caplog.set_level("DEBUG")
        told = []
        for values in (vendor.options(), vendor.bad_options()):
            options = validate_options(self.adapter, values)
            secrets = list(_secrets(options.model_dump()))
            async with open_adapter(self.adapter, options, clock=clock) as opened:
                outcome = await asyncio.gather(opened.adapter.check(), return_exceptions=True)
                told += [repr(options), repr(self.adapter.connection(options)), repr(opened), repr(outcome)]
                told += [*self.adapter.warnings(options), *_traces(outcome)]
            misplaced = dict.fromkeys(("no_such_option", "base_url"), secrets[0] if secrets else "")
            with pytest.raises(SettingsError) as caught:
                validate_options(self.adapter, {**values, **misplaced})
            told.append(str(caught.value))
            for secret in secrets:
                assert secret not in "\n".join([*told, caplog.text])


def _secrets(value: Any) -> Iterator[str]:
    """Yield the secrets among options."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _secrets(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner)


def _traces(outcome: Sequence[object]) -> list[str]:
    return ["".join(traceback.format_exception(one)) for one in outcome if isinstance(one, BaseException)]
