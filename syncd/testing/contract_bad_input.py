"""The contract of adapters about bad input: answers of another type, cut in half, or of somebody else."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from syncd.model.errors import SyncdError
from syncd.model.ticket import Reply, TicketRef, Visibility
from syncd.sources.adapter import Adapter, Capability, Refused, Response
from syncd.sources.registry import OpenedAdapter
from syncd.testing.contract_base import ContractBase, instants, offered
from syncd.testing.distortion import Key, RecordedHttp
from syncd.testing.vendor import NotOffered, SeededTicket, Vendor

NOTE = "for colleagues alone"
Reading = Callable[[Adapter[Any]], Awaitable[list[Reply]]]


class BadInputContract(ContractBase):
    """What an adapter does with answers that are not what its vendor documents."""

    async def test_a_field_of_another_type_fails_its_ticket_alone(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """Whatever single field is of another type, null or missing: there are values or a named failure.

        No other exception, no endless read, no internal note among the public replies; and a list of which something
        else was made is a failure, and never absence.
        """
        seeded = await _seed(vendor)
        for reading in self._readings(seeded, instants(vendor, [0])[0]):
            recorded, told = await _record(opened, reading)
            ids = {reply.id for reply in told}
            for distortion in recorded.distortions():
                odd = distortion.apply(recorded.recorded[distortion.key])
                replies = await _play(opened, recorded, reading, {distortion.key: odd}, str(distortion))
                assert not _leaked(replies or []), f"an internal note came out as public: {distortion}"
                if isinstance(distortion.was, list) and distortion.was and distortion.value in (7, "odd", {}):
                    lost = ids - {reply.id for reply in replies or []}
                    assert replies is None or not lost, f"replies are missing without a word: {distortion}"

    async def test_a_broken_answer_is_a_failure(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """Half an answer, none, or a web page in its place is a failure, or nothing is lost by it."""
        seeded = await _seed(vendor)
        bodies: dict[str, Callable[[Response], bytes]] = {
            "half an answer": lambda response: response.body[: len(response.body) // 2],
            "an empty answer": lambda _: b"",
            "a web page": lambda _: b"<html><p>Sign in to continue</p></html>",
        }
        for reading in self._readings(seeded, instants(vendor, [0])[0]):
            recorded, told = await _record(opened, reading)
            for key, answer in recorded.recorded.items():
                for name, cut in bodies.items():
                    if not answer.body:
                        continue
                    broken = Response(answer.status, answer.headers, cut(answer), answer.path)
                    why = f"{name} of {key[0]} {key[1]}"
                    replies = await _play(opened, recorded, reading, {key: broken}, why)
                    assert replies is None or len(replies) >= len(told), f"replies are missing without a word: {why}"

    async def test_a_redirect_to_another_host_is_not_followed(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """A redirect, which would take the credentials along, is a failure that names what to mend."""
        seeded = await vendor.seed_ticket(instants(vendor, [0]))
        await opened.adapter.check()
        await offered(vendor.redirect_next("https://elsewhere.test/login"))
        with pytest.raises(SyncdError):
            await opened.adapter.resolve(TicketRef(number=seeded.number))

    def _readings(self, seeded: SeededTicket, beginning: datetime) -> list[Reading]:
        """Return what is read: the ticket by its number, its state, its replies, and the feed."""

        async def one_ticket(adapter: Adapter[Any]) -> list[Reply]:
            ticket = await adapter.resolve(TicketRef(number=seeded.number))
            await adapter.tickets([seeded.id])
            return [reply async for reply in adapter.replies(ticket, None)]

        async def feed(adapter: Adapter[Any]) -> list[Reply]:
            told: list[Reply] = []
            is_unread = False
            async for page in adapter.changes(beginning):
                told += [reply for replies in page.replies.values() for reply in replies]
                is_unread |= seeded.id in page.ticket_ids and seeded.id not in page.replies
            # A ticket that is named without its replies is read by itself, as the core does.
            return told + await one_ticket(adapter) if is_unread else told

        return [one_ticket, feed] if Capability.CHANGE_FEED in self.adapter.capabilities else [one_ticket]


async def _seed(vendor: Vendor) -> SeededTicket:
    seeded = await vendor.seed_ticket(instants(vendor, [0, 1]))
    with suppress(NotOffered):  # a vendor without notes has none to leak
        await vendor.add_internal_note(seeded.id, NOTE)
    await asyncio.sleep(vendor.feed_lag_seconds)
    return seeded


async def _record(opened: OpenedAdapter, reading: Reading) -> tuple[RecordedHttp, list[Reply]]:
    recorded = RecordedHttp(opened.http)
    told = await reading(_adapter(opened, recorded))
    assert not _leaked(told)
    return recorded, told


async def _play(
    opened: OpenedAdapter,
    recorded: RecordedHttp,
    reading: Reading,
    changed: Mapping[Key, Response],
    what: str,
) -> list[Reply] | None:
    """Return the replies that are read with changed answers, or None if that failed by a name."""
    recorded.play(changed)
    try:
        return await reading(_adapter(opened, recorded))
    except (SyncdError, Refused):
        return None
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} without a name, for {what}") from error


def _adapter(opened: OpenedAdapter, http: RecordedHttp) -> Adapter[Any]:
    """Return the adapter anew, so that nothing is left of an earlier reading."""
    return type(opened.adapter)(opened.adapter.options, http, opened.adapter.link_hosts)


def _leaked(replies: list[Reply]) -> bool:
    return any(NOTE in reply.body.text and reply.visibility is Visibility.PUBLIC for reply in replies)
