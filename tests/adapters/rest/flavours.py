"""Settings for the flavours of the stand-in, as a settings file would hold them."""

import copy

TICKET_FIELDS = {
    "id": "id",
    "number": "nr",
    "link_template": "{base_url}/view/{number}",
    "subject": "title",
    "status": "state.name",
    "assignee": "owner",
    "updated_at": "changed",
}
REPLY_FIELDS = {
    "id": "id",
    "author": "author.name",
    "author_kind": "author.id == _ticket.customer.id && 'customer' || 'agent'",
    "public": "public",
    "body": "text",
    "body_format": "html && 'html' || 'text'",
    "channel": "via",
    "created_at": "created",
    "edited_at": "edited",
    "attachments": {"list": "files", "name": "name", "size": "bytes", "media_type": "type", "link": "url"},
}
SIGNING = {
    "header": {"header": {"scheme": "Token", "secret": "token-1"}},
    "basic": {"basic": {"user": "syncd", "secret": "password-1"}},
    "parameter": {"parameter": {"name": "key", "secret": "token-1"}},
    "oauth": {
        "token": {
            "path": "/token",
            "client_id": "syncd",
            "client_secret": "client-secret-1",
            "form": {"grant_type": "refresh_token"},
            "secret_form": {"refresh_token": "refresh-1"},
        }
    },
    "session": {
        "session": {
            "path": "/session",
            "answer_key": "session",
            "form": {"login": "syncd"},
            "secret_form": {"password": "password-1"},
            "header": "X-Session",
        }
    },
}
PAGING = {
    "none": {},
    "link_header": {"kind": "link_header"},
    "next_address": {"kind": "next_address", "next": "next"},
    "cursor": {"kind": "cursor", "next": "cursor", "parameter": "cursor", "size": 3, "size_parameter": "count"},
    "page_number": {"kind": "page_number", "parameter": "page", "size": 3, "size_parameter": "per_page"},
    "offset": {"kind": "offset", "parameter": "start", "size": 3, "size_parameter": "count", "total": "total"},
}


def settings(desk, *, replies="list", feed=False):
    """Return settings for a stand-in.

    `replies` says where they are: list, ticket (inside it), first (the first message in the ticket, the others in a
    list) or ids.
    """
    options = {
        "base_url": desk.base_url,
        "authentication": SIGNING[desk.signing],
        "check": {"path": "/me", "account": "user.name", "require": "user.role == 'agent'"},
        "times": {"format": {"iso": "iso", "epoch": "epoch", "dotted": "%Y-%m-%d.%H:%M:%S"}[desk.times]},
        "ticket": {
            "number_pattern": "#?(?P<number>T-[0-9]{1,9})",
            "link_pattern": r"/view/(?P<number>T-[0-9]{1,9})(?:$|[?#])",
            "by_id": {"path": "/tickets/{id}", "record": "ticket"},
            "by_number": {"path": "/search", "params": {"number": "{number}"}, "rows": "rows"},
            "by_ids": {"path": "/tickets", "params": {"ids": "{ids}"}, "join": ",", "at_once": 3, "rows": "rows"},
            "fields": TICKET_FIELDS,
            "statuses": {"new": "CREATED", "open": "ONGOING", "done": "CLOSED"},
            "gone": "deleted",
            "merged_into": "merged_into",
            "unavailable": {"told_by": "contains(keys(@), 'error')"},
        },
        "replies": _replies(replies, desk),
    }
    if feed:
        options["changes"] = {
            "path": "/changes",
            "params": {} if desk.feed_newest_first else {"since": "{since}"},
            "rows": "rows",
            "paging": dict(PAGING[desk.paging]),
            "order": "newest_first" if desk.feed_newest_first else "oldest_first",
        }
    return copy.deepcopy(options)


def put(options, place, value):
    """Put a value at a dotted place of options; `...` takes away what is there."""
    *tables, key = place.split(".")
    for name in tables:
        options = options.setdefault(name, {})
    if value is ...:
        del options[key]
    else:
        options[key] = value


def _replies(where, desk):
    common = {"fields": REPLY_FIELDS, "channels": {"mail": "EMAIL"}}
    order = "newest_first" if desk.replies_newest_first else "oldest_first"
    if where == "ticket":
        return {**common, "rows": "thread"}
    if where == "ids":
        by_ids = {"path": "/messages", "params": {"id": "{ids}"}, "at_once": 2, "rows": "rows"}
        return {**common, "ids": "message_ids", "by_ids": by_ids}
    listed = {
        **common,
        "path": "/tickets/{id}/messages",
        "rows": "rows",
        "paging": dict(PAGING[desk.paging]),
        "order": order,
    }
    if where == "list":
        return listed
    fields = {one: REPLY_FIELDS[one] for one in ("public", "author_kind")}
    first = {**fields, "id": "join('-', ['first', nr])", "body": "description", "created_at": "opened"}
    return {**listed, "first": {**first, "public": "`true`", "author_kind": "'customer'"}, "skip": "text == 'status'"}
