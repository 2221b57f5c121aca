"""Where a mail or a comment was written, after a merge moved it: Salesforce keeps its id, and tells no origin. Pure.

A merge gives the mails and comments of the merged case to the case that remains. The conversation of another customer
must not get into the thread of that one, so what may have been moved, and nothing proves where it was written, belongs
to neither.
"""

from collections.abc import Sequence
from datetime import timedelta

from adapters._salesforce_records import OPENING, Row, SeenCase

UNCLEAR = "unclear"
"""The origin of what may have been written on another case: no ticket has this id, so no thread gets it."""

AT_ONCE = timedelta(seconds=5)
"""One transaction stamps all of its rows; its seconds may differ a little."""


def is_untouched(row: Row) -> bool:
    """Tell whether nothing happened to a row after it was made, a merge included."""
    return row.stamped_at - row.created_at <= AT_ONCE


def origin_of(row: Row, case: SeenCase, merged: Sequence[SeenCase]) -> str:
    """Return the id of the case that a row on `case` was written on; `merged` are the cases merged into that one.

    What is older than its case was moved to it, whether or not that stamped it.
    """
    is_older = row.created_at < case.created_at - OPENING
    later = [one for one in merged if one.stamped_at >= row.created_at and (is_older or not _is_before(row, one))]
    moved_from = [one for one in later if one.created_at - OPENING <= row.created_at]
    if not moved_from or (is_untouched(row) and not is_older):
        return case.id
    by_merge = [one for one in moved_from if one.is_deleted and abs(row.stamped_at - one.stamped_at) <= AT_ONCE]
    if len(by_merge) == 1 or (is_older and len(moved_from) == 1):
        return (by_merge or moved_from)[0].id
    return UNCLEAR


def _is_before(row: Row, merged: SeenCase) -> bool:
    """Tell whether a row was last touched before a case was merged (of one that was kept the time is not known)."""
    return merged.is_deleted and row.stamped_at < merged.stamped_at - AT_ONCE
