"""Salesforce has no webhooks; a flow or Apex can call one, with a body that an administrator writes."""

import re

from adapters._salesforce_records import parse_id
from syncd.sources.webhook import HookRequest, Named, Webhook
from syncd.sources.webhook_bodies import named_by_operator
from syncd.sources.webhook_proofs import SharedSecret

_read = named_by_operator("Id")


def _of_salesforce(request: HookRequest) -> Named:
    """Ids have a short form too."""
    named = _read(request)
    return Named(frozenset(map(parse_id, named.ids)), named.numbers)


SALESFORCE = Webhook(SharedSecret(), _of_salesforce, re.compile(r"500[A-Za-z0-9]{15}", re.ASCII))
