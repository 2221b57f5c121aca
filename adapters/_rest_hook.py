"""The webhooks of a system that is described by its settings: a secret, and an expression for the tickets."""

import re

from adapters._rest_expressions import Expression, Unfit
from syncd.model.errors import UnexpectedAnswer
from syncd.sources.records import Record
from syncd.sources.webhook import HookRequest, Named, Webhook
from syncd.sources.webhook_bodies import BODY, TICKET_ID, value_of
from syncd.sources.webhook_proofs import SharedSecret

KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


def webhook_of(expression: Expression | None) -> Webhook:
    """Return how webhooks are read: the ids that an expression gives, or what stands under `ticket_id`."""
    given = Expression.parse(TICKET_ID) if expression is None else expression

    def read(request: HookRequest) -> Named:
        try:
            found = given.find(value_of(request))
        except Unfit as error:
            raise UnexpectedAnswer(f"{BODY}: webhook_ticket {error}") from None
        if found is None and request.body.strip():
            raise UnexpectedAnswer(f"{BODY} names no ticket: webhook_ticket ({given}) gives nothing")
        each = found if isinstance(found, list) else [found]
        keys = (Record({TICKET_ID: one}, f"{BODY}: webhook_ticket").find_key(TICKET_ID) for one in each)
        return Named(frozenset(key for key in keys if key is not None))

    return Webhook(SharedSecret(), read, KEY)
