"""Freshdesk, API v2: a list of changed tickets for the whole account, then the conversations of each that is linked.

docs/adapters/freshdesk.md names the pages relied on, and says what maps to what and what Freshdesk cannot tell.
"""

import re
from typing import ClassVar

from adapters._fresh_adapter import FreshAdapter, FreshConfig
from adapters._fresh_api import Params
from adapters._fresh_records import Flavour
from adapters._webhooks_shared import FRESHDESK
from syncd.model.communication import Channel
from syncd.sources.adapter import Connection


class FreshdeskConfig(FreshConfig):
    """The account and the key of an agent."""


# Documented are 1, 2, 3, 7, 9 and 10; the others are what accounts were seen to have.
SOURCES = {
    1: ("email", Channel.EMAIL),
    2: ("portal", Channel.OTHER),
    3: ("phone", Channel.PHONE),
    4: ("forum", Channel.OTHER),
    5: ("twitter", Channel.OTHER),
    6: ("facebook", Channel.OTHER),
    7: ("chat", Channel.CHAT),
    8: ("mobihelp", Channel.OTHER),
    9: ("feedback widget", Channel.OTHER),
    10: ("outbound email", Channel.EMAIL),
    11: ("e-commerce", Channel.OTHER),
    12: ("bot", Channel.CHAT),
    13: ("whatsapp", Channel.CHAT),
    14: ("internal task", Channel.OTHER),
    15: ("web chat", Channel.CHAT),
    16: ("web form", Channel.OTHER),
    17: ("instagram message", Channel.CHAT),
    18: ("instagram comment", Channel.OTHER),
    19: ("facebook message", Channel.CHAT),
    20: ("facebook comment", Channel.OTHER),
    21: ("mobile chat", Channel.CHAT),
    22: ("sms", Channel.TEXT_MESSAGE),
}
OUTBOUND_EMAIL, INTERNAL_TASK, WEB_CHAT = 10, 14, 15


class Freshdesk(FreshAdapter[FreshdeskConfig]):
    """Tickets and conversations of one Freshdesk account."""

    config = FreshdeskConfig
    title = "Freshdesk"
    documentation = "https://developers.freshdesk.com/api/"
    permissions = "the key of an agent who sees all tickets (global access); an administrator's for names of agents"
    webhook = FRESHDESK
    flavour: ClassVar[Flavour] = Flavour(
        title="Freshdesk",
        host="SUBDOMAIN.freshdesk.com",
        sources=SOURCES,
        number=re.compile(r"#?([1-9][0-9]{0,17})", re.ASCII),
        hint="a ticket of Freshdesk is named by its number, such as 42, or by a link that ends in /a/tickets/42",
        outbound=frozenset({OUTBOUND_EMAIL, INTERNAL_TASK}),
        among_agents=frozenset({INTERNAL_TASK}),
        repeating=frozenset({WEB_CHAT}),
        archive=True,
        sorts=True,
        most_pages=300,
    )

    @classmethod
    def connection(cls, options: FreshdeskConfig) -> Connection:
        """Return the connection: 80 requests a minute cost 120 of the 200 that Growth allows the whole account.

        A ticket costs two, because its `stats` are asked for. Lists of tickets have a limit of their own (20 on
        Growth), but no budget here: budgets go by the beginnings of paths, and every path of a ticket begins with that
        of the list. A sweep takes one page as a rule, and it takes 2,000 changes within a minute to meet that limit;
        then the answer 429 says how long to wait.

        https://developers.freshdesk.com/api/#ratelimit
        """
        return cls.signed_in(options, requests_per_minute=80)

    @classmethod
    def list_params(cls, options: FreshdeskConfig) -> Params:  # noqa: ARG003 - no option decides it
        """Return the order of the list: oldest change first, or new changes would push pages along.

        https://developers.freshdesk.com/api/#list_all_tickets
        """
        return {"order_by": "updated_at", "order_type": "asc"}
