"""Freshservice, API v2: Freshdesk's sibling, with wrapped answers, sources of its own, workspaces, and no archive.

docs/adapters/freshservice.md names the pages relied on, and says what maps to what and what Freshservice cannot tell.
"""

import re
from typing import ClassVar

from pydantic import Field

from adapters._fresh_adapter import FreshAdapter, FreshConfig
from adapters._fresh_api import Params
from adapters._fresh_records import Flavour
from adapters._webhooks_shared import FRESHSERVICE
from syncd.model.communication import Channel
from syncd.model.errors import PauseSystem
from syncd.model.ticket import Identity
from syncd.sources.adapter import Connection


class FreshserviceConfig(FreshConfig):
    """The account and the key of an agent."""

    all_workspaces: bool = Field(
        default=True,
        description="Follow the tickets of all workspaces. Switch it off if the account has none and refuses it: then "
        "the list is that of the primary workspace.",
    )


# The numbers mean other things than in Freshdesk: 7 is no chat, and 10 no mail that agents write.
SOURCES = {
    1: ("email", Channel.EMAIL),
    2: ("portal", Channel.OTHER),
    3: ("phone", Channel.PHONE),
    4: ("chat", Channel.CHAT),
    5: ("feedback widget", Channel.OTHER),
    6: ("yammer", Channel.CHAT),
    7: ("aws cloudwatch", Channel.OTHER),
    8: ("pagerduty", Channel.OTHER),
    9: ("walk-up", Channel.CONVERSATION),
    10: ("slack", Channel.CHAT),
    11: ("chatbot", Channel.CHAT),
    12: ("workplace", Channel.CHAT),
    13: ("employee onboarding", Channel.OTHER),
    14: ("alerts", Channel.OTHER),
    15: ("ms teams", Channel.CHAT),
    18: ("employee offboarding", Channel.OTHER),
}

# https://support.freshservice.com/en/support/solutions/articles/50000005527-what-is-a-ticket-type-or-prefix-
TICKET_TYPES = ("INC", "SR", "CASE", "QUERY", "ISSUE", "REQ")


class Freshservice(FreshAdapter[FreshserviceConfig]):
    """Tickets and conversations of one Freshservice account."""

    config = FreshserviceConfig
    title = "Freshservice"
    documentation = "https://api.freshservice.com/"
    permissions = "the key of an agent whose role may view all tickets; viewing agents too for names of agents"
    webhook = FRESHSERVICE
    flavour: ClassVar[Flavour] = Flavour(
        title="Freshservice",
        host="SUBDOMAIN.freshservice.com",
        sources=SOURCES,
        # Problems (PRB), changes (CHN) and releases (REL) are counted by themselves: PRB-42 is not the ticket 42.
        number=re.compile(rf"#?(?:(?i:{'|'.join(TICKET_TYPES)})-)?([1-9][0-9]{{0,17}})", re.ASCII),
        hint="a ticket of Freshservice is named by its number, such as 42 or INC-42, or by a link that ends in "
        "/a/tickets/42",
        wrapped=True,
    )

    @classmethod
    def connection(cls, options: FreshserviceConfig) -> Connection:
        """Return the connection at a pace that no limit of the smallest plan is met by.

        Starter allows 100 a minute, 40 of them lists of tickets and 50 single tickets. These have no budgets of their
        own: budgets go by the beginnings of paths, and every path of a ticket begins with that of the list.

        https://api.freshservice.com/#rate_limit
        """
        return cls.signed_in(options, requests_per_minute=40)

    @classmethod
    def list_params(cls, options: FreshserviceConfig) -> Params:
        """Return the order, oldest ticket first (there is none by change), and the workspaces.

        Oldest first, new tickets come behind the page that is read and shift none.

        https://api.freshservice.com/#view_all_ticket
        """
        workspaces = {"workspace_id": 0} if options.all_workspaces else {}
        return {"order_type": "asc", **workspaces}

    def _judge_list(self, status: int) -> None:
        if status == 400 and self.options.all_workspaces:
            raise PauseSystem("Freshservice refuses the list of all workspaces: set all_workspaces to false")
        super()._judge_list(status)

    def _without_name(self) -> Identity:
        """Return who we are: agents/me is not documented here, and the list of tickets was open."""
        return Identity("the agent of the API key", ("the list of changed tickets is open",))
