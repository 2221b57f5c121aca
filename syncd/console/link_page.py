"""How one link is said: as JSON, in a line, and what to do about it."""

from datetime import datetime
from typing import Any

from syncd.model.link import THE_START, Cause, Link


def link_values(link: Link) -> dict[str, Any]:
    """Return a link as JSON has it."""
    ticket = link.ticket
    return {
        "id": link.id,
        "api": link.thread.api,
        "customer_id": link.thread.customer_id,
        "thread_id": link.thread.thread_id,
        "system": link.system,
        "ticket_number": link.ref.number if ticket is None else ticket.number,
        "ticket_link": link.ref.link if ticket is None else ticket.link,
        "ticket_id": None if ticket is None else ticket.id,
        "state": link.state,
        "cause": link.cause,
        "reason": link.reason,
        "merged_into": link.merged_into,
        "from": link.from_at,
        "registered_at": link.registered_at,
        "collected_at": link.collected_at,
        "newest_reply_at": link.newest_reply_at,
        "vendor_status": None if ticket is None else ticket.vendor_status,
        "status": link.known_status,
        "status_sent": link.sent_status,
        "failures": link.failures,
    }


def advice(link: Link) -> str:
    """Say what to do about a suspended link."""
    if link.merged_into is not None:
        return f"To go on with ticket {link.merged_into}: syncd links resume {link.id} --follow"
    if link.cause is Cause.REPLIES_GONE:
        return (
            f"If they were deleted there: syncd links resume {link.id}; its next reading is believed, and what waits "
            "and is not there is skipped. If not, mend what the account may see, then resume it"
        )
    return f"Once that is mended: syncd links resume {link.id}; or syncd links remove {link.id}"


def describe(link: Link) -> str:
    """Say in one line what a link ties to what."""
    thread = link.thread
    return (
        f"ticket {link.ticket_name} of {link.system} -> thread {thread.thread_id} of customer {thread.customer_id} "
        f"at {thread.api}, {link.state}"
    )


def from_words(link: Link) -> datetime | str:
    """Return the instant from which a link's replies count as new, in words where it is no real one."""
    return "the start" if link.from_at == THE_START else link.from_at
