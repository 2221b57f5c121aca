"""A strict stand-in for Jira Service Management over HTTP, Cloud and Data Center, with the traps of the real ones."""

import re
from base64 import b64decode, b64encode
from email.utils import format_datetime

from aiohttp import web

from tests.adapters.jira.site import FIELDS, Site, html
from tests.adapters.stand_in import StandIn, answer_json, refuse_surplus

EMAIL, API_TOKEN, TOKEN = "syncd@example.com", "api-token-1", "access-token-1"
NOT_THERE = "Issue does not exist or you do not have permission to see it."
CHANGED = re.compile(r"(?:project in \(([^)]*)\) AND )?updated >= ([0-9]+) ORDER BY updated ASC")
BY_ID = re.compile(r"id in \(([0-9,]+)\)")


class JiraStandIn(StandIn):
    """One site as its HTTP shows it. `pages` are the largest pages of searches, comments and Service Management.

    `has_ended`: the token has, so that all but /myself answers as to an anonymous caller. `is_stuck`: lists hand out
    the same page again and again. `validates`: Data Center refuses a search for issues that are gone.
    """

    is_cloud = True
    projects = ("ABC", "OR")

    def __init__(self, clock):
        super().__init__(clock)
        self.site = Site(clock, is_cloud=self.is_cloud)
        self.search_page, self.comment_page, self.service_page = 1000, 100, 50
        self.has_ended = self.is_stuck = self.validates = False
        self.is_agent = self.has_service_management = True
        self.sends_date = True
        self.fields = FIELDS  # without those of requests where Service Management was never there
        self.fetched = []  # the bodies of bulk reads
        self.stale = {}  # issue id: the time of an old copy that a bulk read still hands out

    @property
    def api(self):
        return "/rest/api/3" if self.is_cloud else "/rest/api/2"

    async def answer(self, request, path):
        answer = await self._answer(request, path)
        if self.sends_date:
            answer.headers["Date"] = format_datetime(self.clock.now(), usegmt=True)
        else:
            answer.headers["Date"] = "soon"
        answer.headers["X-Seraph-LoginReason"] = "OK" if self._is_known(request) else "AUTHENTICATED_FAILED"
        return answer

    def _is_known(self, request):
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if self.has_ended:
            return False
        if scheme == "Basic" and self.is_cloud:
            return b64decode(secret).decode() == f"{EMAIL}:{API_TOKEN}"
        return scheme == "Bearer" and secret == TOKEN

    async def _answer(self, request, path):
        if path.startswith("/rest/servicedeskapi/"):
            return self._service(path.removeprefix("/rest/servicedeskapi/").split("/"), request)
        if self.is_cloud and path in {"/rest/api/3/search", "/rest/api/2/search"}:
            return refused(410, "The requested API has been removed. Please migrate to /search/jql. CHANGE-2046")
        if not path.startswith(f"{self.api}/"):
            return no_such_path()
        parts = path.removeprefix(f"{self.api}/").split("/")
        if not self._is_known(request):
            return self._anonymous(parts)
        if request.method == "POST":
            return (
                self._fetch(await request.json())
                if parts == ["issue", "bulkfetch"] and self.is_cloud
                else no_such_path()
            )
        return self._about_issues(parts, request.query) or self._about_the_site(parts)

    def _about_issues(self, parts, query):
        match parts:
            case ["search", "jql"] if self.is_cloud:
                return self._search_cloud(query)
            case ["search"]:
                return self._search_data_center(query)
            case ["issue", name]:
                return self._issue(name, query)
            case ["issue", name, "comment"]:
                return self._comments(name, query)
        return None

    def _about_the_site(self, parts):
        match parts:
            case ["myself"]:
                return answer_json({**self.site.agent, "displayName": "Sync Bot", "timeZone": "Europe/Berlin"})
            case ["field"]:
                return answer_json(self.fields)
            case ["project", key]:
                return answer_json({"key": key}) if key in self.projects else refused(404, "No project could be found")
        return no_such_path()

    def _anonymous(self, parts):
        """Answer as to anybody: /myself refuses, searches find nothing, and issues are not there."""
        if parts == ["myself"]:
            return refused(401, "Client must be authenticated to access this resource.")
        if parts[0] == "search":
            return answer_json({"issues": [], "isLast": True, "total": 0, "startAt": 0})
        if parts == ["field"]:
            return answer_json(FIELDS[:1])
        return answer_json({"issues": [], "issueErrors": []}) if "bulkfetch" in parts else refused(404, NOT_THERE)

    # Searches.

    def _found(self, jql):
        """Return what the index has, or the answer that refuses the query."""
        match = CHANGED.fullmatch(jql)
        if match is None:
            return refused(400, "Unbounded JQL queries are not allowed here, or the query cannot be parsed.")
        keys = [name.strip('"') for name in match[1].split(",")] if match[1] else []
        if match[1] and (set(keys) - set(self.projects) or '"' not in match[1]):
            return refused(400, "The value does not exist for the field 'project'.")
        rows = self.site.indexed(int(match[2]))
        return [(at, issue) for at, issue in rows if not keys or issue["key"].rpartition("-")[0] in keys]

    def _search_cloud(self, query):
        """Page by token, after the last row's time and id; there is no total, and startAt would be ignored."""
        surplus = refuse_surplus(query, {"jql", "fields", "maxResults", "nextPageToken"})
        rows = surplus or self._found(query["jql"])
        if isinstance(rows, web.Response):
            return rows
        after = tuple(map(int, b64decode(query["nextPageToken"]).split())) if "nextPageToken" in query else (-1, -1)
        ahead = [row for row in rows if place(row) > after]
        page = ahead[: min(int(query["maxResults"]), self.search_page)]
        answer = {"issues": [self._row(at, issue, query) for at, issue in page], "isLast": len(page) == len(ahead)}
        if self.is_stuck:
            answer |= {"nextPageToken": query.get("nextPageToken", token_of((0, 0))), "isLast": False}
        elif len(page) < len(ahead):
            answer["nextPageToken"] = token_of(place(page[-1]))
        return answer_json(answer)

    def _search_data_center(self, query):
        """Page by counting, so that an issue that changes meanwhile shifts those after it."""
        surplus = refuse_surplus(query, {"jql", "fields", "maxResults", "startAt", "validateQuery"})
        if surplus:
            return surplus
        by_id = BY_ID.fullmatch(query["jql"])
        rows = self._by_id(by_id[1].split(","), query) if by_id else self._found(query["jql"])
        if isinstance(rows, web.Response):
            return rows
        start = 0 if self.is_stuck else int(query.get("startAt", 0))
        page = rows[start : start + min(int(query["maxResults"]), self.search_page)]
        issues = [self._row(at, issue, query) for at, issue in page]
        total = 1_000_000 if self.is_stuck else len(rows)
        return answer_json(
            {"startAt": int(query.get("startAt", 0)), "maxResults": 50, "total": total, "issues": issues}
        )

    def _by_id(self, ids, query):
        """Find issues by id. One that is gone makes the whole query an error, unless it is not to be validated."""
        rows = {issue["id"]: (at, issue) for at, issue in self.site.indexed(0)}
        if set(ids) - rows.keys() and (self.validates or query.get("validateQuery") != "false"):
            return refused(400, "A value does not exist for the field 'id'.")
        return [rows[key] for key in ids if key in rows]

    def _row(self, at, issue, query):
        return {
            "id": issue["id"],
            "key": issue["key"],
            "fields": self.site.shown(issue, query["fields"].split(","), at),
        }

    # Issues.

    def _visible(self, name):
        issue = self.site.find(name)
        return issue if issue and issue["id"] not in self.site.gone | self.site.forbidden else None

    def _fetch(self, body):
        """Return issues in the order of their ids; what is gone or forbidden is left out without a word."""
        if set(body) - {"issueIdsOrKeys", "fields", "properties", "expand"} or len(body["issueIdsOrKeys"]) > 100:
            return refused(400, "Invalid request payload.")
        self.fetched.append(body)
        found = [issue for issue in map(self._visible, body["issueIdsOrKeys"]) if issue]
        found.sort(key=lambda issue: int(issue["id"]))
        shown = [self._shown(issue, body["fields"], body.get("properties", [])) for issue in found]
        return answer_json({"issues": shown, "issueErrors": []})

    def _shown(self, issue, fields, properties=()):
        old = self.stale.get(issue["id"])
        answer = {"id": issue["id"], "key": issue["key"], "fields": self.site.shown(issue, fields, old)}
        if old and "comment" in answer["fields"]:
            kept = [one for one in issue["comments"] if one["raw"]["created"] <= old]
            comments = [self.site.shown_comment(one) for one in kept]
            answer["fields"]["comment"] |= {"comments": comments, "total": len(kept)}
        if properties:
            answer["properties"] = {"request.channel.type": {"value": issue["channel"]}} if issue["channel"] else {}
        return answer

    def _issue(self, name, query):
        surplus = refuse_surplus(query, {"fields", "expand", "properties"})
        if surplus:
            return surplus
        issue = self._visible(name)
        if issue is None:
            return refused(404, NOT_THERE)
        answer = self._shown(issue, query["fields"].split(","), query.get("properties", "").split(",")[:1])
        if "renderedFields" in query.get("expand", ""):
            comments = [{"id": one["raw"]["id"], "body": html(one["raw"]["body"])} for one in issue["comments"]]
            description = issue["fields"]["description"]
            answer["renderedFields"] = {"description": html(description) if description else ""}
            answer["renderedFields"]["comment"] = {"comments": comments[-self.site.embed_limit :]}
        return answer_json(answer)

    def _comments(self, name, query):
        """Page by counting; pages are smaller than asked for where the site says so."""
        surplus = refuse_surplus(query, {"startAt", "maxResults", "orderBy", "expand"})
        if surplus:
            return surplus
        issue = self._visible(name)
        if issue is None:
            return refused(404, NOT_THERE)
        rows = sorted(issue["comments"], key=lambda one: (one["raw"]["created"], int(one["raw"]["id"])))
        rows = rows[::-1] if query.get("orderBy") == "-created" else rows
        start = 0 if self.is_stuck else int(query.get("startAt", 0))
        page = rows[start : start + min(int(query["maxResults"]), self.comment_page)]
        rendered = query.get("expand") == "renderedBody"
        shown = [self.site.shown_comment(one, rendered=rendered) for one in page]
        answer = {
            "startAt": int(query.get("startAt", 0)),
            "maxResults": len(page),
            "total": len(rows),
            "comments": shown,
        }
        return answer_json(answer)

    # Service Management.

    def _service(self, parts, request):
        if not self._is_known(request) or not self.has_service_management:
            status = 404 if self._is_known(request) else 401
            return answer_json({"errorMessage": "Not there.", "i18nErrorMessage": {"i18nKey": "x"}}, status)
        match parts:
            case ["info"]:
                return answer_json({"version": "10.3.2", "isLicensedForUse": True})
            case ["request", name, "comment"]:
                return self._service_comments(name, request.query)
        return answer_json({"errorMessage": "Not there."}, 404)

    def _service_comments(self, name, query):
        """List oldest first; who is no agent is shown the public ones alone, without an error."""
        issue = self._visible(name)
        if issue is None or not any(issue["fields"][key] for key in issue["fields"] if key == "customfield_10010"):
            return answer_json({"errorMessage": "The request could not be found."}, 404)
        rows = [one for one in issue["comments"] if one["public"] or self.is_agent]
        rows = [one for one in rows if query["public" if one["public"] else "internal"] == "true"]
        start = int(query["start"])
        page = rows[start : start + min(int(query["limit"]), self.service_page)]
        answer = {"size": len(page), "start": start, "limit": self.service_page, "values": []}
        answer["values"] = [self.site.service_comment(one) for one in page]
        return answer_json(answer | {"isLastPage": start + len(page) >= len(rows)})


class JiraDataCenterStandIn(JiraStandIn):
    """A Data Center below a context path: API v2, whole seconds in its index, all comments with their issue."""

    is_cloud = False
    prefix = "/jira"


def refused(status, message):
    """Return an error as the platform tells it."""
    return answer_json({"errorMessages": [message], "errors": {}}, status)


def no_such_path():
    """Return the answer to a path that this Jira does not have."""
    return answer_json({"message": "null for uri", "status-code": 404}, 404)


def place(row):
    """Return where a row stands in a search: its time in milliseconds, and its id."""
    return round(row[0].timestamp() * 1000), int(row[1]["id"])


def token_of(position):
    """Return the token of the page behind a place."""
    return b64encode(" ".join(map(str, position)).encode()).decode()
