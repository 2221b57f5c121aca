"""A strict stand-in for one account of Freshservice: wrapped answers, workspaces, no order of change, no archive."""

from aiohttp import web

from tests.adapters.freshdesk.stand_in import LIST_PARAMETERS, FreshStandIn, error
from tests.adapters.stand_in import answer_json

PRIMARY = 2


class FreshserviceStandIn(FreshStandIn):
    """One account of Freshservice."""

    product = "Freshservice"
    list_parameters = (LIST_PARAMETERS | {"workspace_id", "type"}) - {"order_by", "company_id"}

    def __init__(self, clock):
        super().__init__(clock)
        self.per_minute, self.lists_per_minute, self.views_per_minute = 100, 40, 50
        self.most_pages = 10_000
        self.knows_me, self.has_workspaces = True, True

    def add_agent(self, name):
        """Add an agent, who has the two parts of a name."""
        agent_id, (first, last) = self.new_id(), name.split()
        fields = {"first_name": first, "last_name": last, "email": f"a{agent_id}@acme.test", "active": True}
        self.agents[agent_id] = {"id": agent_id, **fields}
        return agent_id

    def open_ticket(self, at, text="It does not open.", **fields):
        """Open a ticket, in the primary workspace unless another is named."""
        return super().open_ticket(at, text, **{"workspace_id": PRIMARY, "type": "Incident", **fields})

    def one(self, name, record):
        """Return the answer with one record, under its name."""
        return answer_json({name: record})

    def many(self, name, rows, headers):
        """Return the answer with several records, under their name."""
        return answer_json({name: rows}, headers=headers)

    def _show_agents(self, rest, query):
        if rest == ["me"] and not self.knows_me:
            return web.Response(status=404)
        return super()._show_agents(rest, query)

    def _list(self, query):
        if "workspace_id" in query and not self.has_workspaces:
            return error("invalid_field", 400)
        return super()._list(query)

    def _is_listed(self, row, query):
        wanted = int(query.get("workspace_id", PRIMARY))
        return super()._is_listed(row, query) and wanted in {0, row["workspace_id"]}
