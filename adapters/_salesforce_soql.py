"""Questions in SOQL: literals, which fields of which object are asked for, and their text. Pure.

https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select.htm
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from adapters._salesforce_feed import Mark

MAIL, COMMENT, CASE = "EmailMessage", "CaseComment", "Case"
STATE = ("Id", "CaseNumber", "Status", "IsClosed", "CreatedDate", "SystemModstamp", "IsDeleted", "MasterRecordId")
REPLY = ("Id", "ParentId", "CreatedDate", "SystemModstamp", "IsDeleted")
NEEDED: Mapping[str, tuple[str, ...]] = {
    CASE: STATE,
    MAIL: (*REPLY, "Incoming", "Status", "TextBody", "HtmlBody"),
    COMMENT: (*REPLY, "CommentBody", "IsPublished"),
}
WANTED: Mapping[str, tuple[str, ...]] = {
    CASE: ("Subject", "Origin", "OwnerId", "Owner.Name", "Description"),
    MAIL: (
        "Subject",
        "FromName",
        "FromAddress",
        "ToAddress",
        "CcAddress",
        "BccAddress",
        "MessageDate",
        "IsPrivateDraft",
        "IsBounced",
        "CreatedBy.Name",
        "CreatedBy.UserType",
        "Parent.CreatedDate",
    ),
    COMMENT: ("LastModifiedDate", "CreatedBy.Name", "CreatedBy.UserType", "Parent.CreatedDate"),
}


def quoted(text: str) -> str:
    """Return a text as a literal of SOQL.

    https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def instant_literal(instant: datetime) -> str:
    """Return an instant as a literal of SOQL, which has no quotes."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def behind(mark: Mark) -> str:
    """Return the condition of the rows behind a mark: those of its instant are told apart by their ids."""
    at = instant_literal(mark.at)
    if not mark.id:
        return f"SystemModstamp >= {at}"
    return f"(SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > {quoted(mark.id)}))"


def select_text(kind: str, names: Sequence[str], rest: str, without: Collection[str]) -> str:
    """Return a query for fields of an object."""
    fields = ", ".join(name for name in names if name not in without)
    return f"SELECT {fields} FROM {kind} {rest}"  # noqa: S608 - what is of others in it was quoted


def base_field(name: str) -> str:
    """Return the field that a field of a related record hangs on: `Owner.Name` on `OwnerId`."""
    relation, dot, _ = name.partition(".")
    return f"{relation}Id" if dot else name
