"""A strict stand-in for a Redmine 5.0 over HTTP, with the traps of the real one.

It ignores what Redmine ignores and refuses what Redmine refuses. Times have microseconds in its database, as in the
real one, and whole seconds in its answers. What it holds is changed by calling its methods.
"""

import re
from datetime import UTC, datetime, timedelta

from aiohttp import web

from tests.adapters.stand_in import StandIn, answer_json

STATUSES = {"New": 1, "In Progress": 2, "Resolved": 3, "Feedback": 4, "Closed": 5, "Rejected": 6}
CLOSED = {5, 6}
TRACKERS = {1: "Bug", 2: "Feature", 3: "Support"}
ROLES = {3: "Manager", 4: "Developer", 5: "Reporter", 6: "Reader"}
READ = ["view_issues", "view_private_notes"]

# What Redmine takes for a time in a filter: no sign and no fraction.
FILTER_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}((:)?\d{2}){0,2}(Z|\d{2}:?\d{2})?)?")


class RedmineStandIn(StandIn):
    """One Redmine, below a path. `reader` is the account whose API key is `api_key`.

    - `login_required`: off, a wrong key makes an anonymous visitor of the caller, who sees public projects.
    - `api_enabled`: off, the REST API answers 403 where nobody may look anonymously.
    - `is_behind_a_web_server`: off, answers have no `Date`, as puma's own have none.
    - `version`: from 6 on journals have `updated_on`; before 5 a status does not say whether it is closed.
    - `newest_note_first`: the preference of the reader for the order of notes.
    """

    prefix = "/redmine"

    def __init__(self, clock):
        super().__init__(clock)
        self.api_key = "0123456789abcdef0123456789abcdef01234567"
        self.login_required = self.api_enabled = self.is_behind_a_web_server = True
        self.must_change_password = self.newest_note_first = self.is_admin = False
        self.stuck = False  # the list of issues shows its first page whatever is asked
        self.split_notes = None  # the notes of the public journal that a private note with a file leaves behind
        self.version = 5
        self.largest_page = 100
        self.visible_members = True
        self.default_statuses = True  # off: trackers do not tell with which status issues begin
        self.permissions = {3: [*READ, "edit_issues"], 4: [*READ, "edit_issues"], 5: ["view_issues"], 6: list(READ)}
        self.issues_visibility = "all"
        self.users, self.issues, self.journals, self.files = {}, {}, {}, {}
        self.projects = {1: {"id": 1, "name": "Support"}, 2: {"id": 2, "name": "Hidden"}, 3: {"id": 3, "name": "Open"}}
        self.public = {3}
        self.hidden = {2}
        self.members = []  # {"id", "project", "user" or "group", "roles"}
        self._next_id = 0
        self.anonymous = self.add_user("Anonymous", locked=True)
        self.agent, self.customer = self.add_user("Peter Meyer", 4), self.add_user("Carla Customer", 5)
        self.reader = self.add_user("Sync Daemon", 6)

    # What it holds.

    def new_id(self):
        self._next_id += 1
        return self._next_id

    def add_user(self, name, *roles, project=1, locked=False):
        """Add a user, with roles in a project; return its id."""
        user_id = self.new_id()
        self.users[user_id] = {"id": user_id, "name": name, "locked": locked}
        if roles:
            self.join(user_id, *roles, project=project)
        return user_id

    def join(self, user_id, *roles, project=1, kind="user"):
        """Make somebody a member of a project."""
        named = [{"id": role, "name": ROLES[role]} for role in roles]
        who = {"id": user_id, "name": self.users[user_id]["name"]}
        self.members.append({"id": self.new_id(), "project": self.projects[project], kind: who, "roles": named})

    def create_issue(
        self, at, *, author=None, subject="Printer", description="It does not print.", project=1, **fields
    ):
        """Open an issue; return its id."""
        issue_id = self.new_id()
        self.issues[issue_id] = {
            "id": issue_id,
            "project_id": project,
            "tracker_id": 3,
            "status_id": 1,
            "author_id": author or self.customer,
            "assigned_to_id": None,
            "subject": subject,
            "description": description,
            "is_private": False,
            "created_on": at,
            "updated_on": at,
            **fields,
        }
        self.journals[issue_id], self.files[issue_id] = [], []
        return issue_id

    def write(self, issue_id, notes, by=None, at=None, *, private=False, files=(), **changes):
        """Add a journal with notes, files by their names and changed fields; return its id.

        A private note with details is split: they go into a public journal without notes.
        """
        at = at or self.clock.now()
        details = [self._detail("attachment", str(self.attach(issue_id, name)), None, name) for name in files]
        for name, value in changes.items():
            details.append(self._detail("attr", name, self.issues[issue_id][name], value))
            self.issues[issue_id][name] = value
        if private and notes and details:
            self._journal(issue_id, self.split_notes, by, at, private=False, details=details)
            details = []
        return self._journal(issue_id, notes, by, at, private=private, details=details)

    def attach(self, issue_id, name):
        """Attach a file, without a journal: as when the issue is opened; return its id."""
        self.files[issue_id].append({"id": self.new_id(), "filename": name})
        return self.files[issue_id][-1]["id"]

    def set_status(self, issue_id, name, at=None):
        """Change the status alone: a journal without notes."""
        return self.write(issue_id, "", self.agent, at, status_id=STATUSES[name])

    def edit(self, issue_id, journal_id, at=None, **fields):
        """Change a journal in place; the issue stays as it is."""
        (journal,) = [one for one in self.journals[issue_id] if one["id"] == journal_id]
        journal.update(fields, updated_on=at or self.clock.now())

    def touch(self, issue_id, at):
        """Change the issue at an instant, by nothing that a journal tells."""
        self.issues[issue_id]["updated_on"] = at

    def link(self, issue_id):
        return f"{self.base_url}/issues/{issue_id}"

    def _journal(self, issue_id, notes, by, at, *, private, details):
        journal_id = self.new_id()
        row = {"id": journal_id, "user_id": by or self.agent, "notes": notes, "private_notes": private}
        row |= {"created_on": at, "updated_on": at, "details": details}
        self.journals[issue_id].append(row)
        self.issues[issue_id]["updated_on"] = max(self.issues[issue_id]["updated_on"], at)
        return journal_id

    def _detail(self, kind, name, old, new):
        text = [None if value is None else str(value) for value in (old, new)]
        return {"property": kind, "name": name, "old_value": text[0], "new_value": text[1]}

    # How it answers.

    async def answer(self, request, path):
        response = self._answer(request, path)
        date = self.clock.now().astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        response.headers["Date"] = date if self.is_behind_a_web_server else ""
        return response

    def _answer(self, request, path):
        if request.method != "GET" or not path.endswith(".json"):
            return empty(404)
        signed_in = self.api_enabled and request.headers.get("X-Redmine-API-Key") == self.api_key
        if signed_in and self.must_change_password:
            return empty(403)
        parts = path.removesuffix(".json").strip("/").split("/")
        if not signed_in and (self.login_required or parts[0] in {"users", "roles", "trackers", "issue_statuses"}):
            return self._refuse_anonymous()
        return self._read(parts, request.query, signed_in)

    def _refuse_anonymous(self):
        if not self.api_enabled:
            return empty(403)
        return empty(401, {"WWW-Authenticate": 'Basic realm="Redmine API"'})

    def _read(self, parts, query, signed_in):
        match parts:
            case ["issues"]:
                return self._list(query, signed_in)
            case ["issues", number] if number.isdecimal():
                return self._show(int(number), query, signed_in)
            case ["users", "current"]:
                return answer_json({"user": self._me(query)})
            case ["users", number]:
                return self._user(int(number), query)
            case ["projects", number, "memberships"]:
                return self._memberships(int(number), query, signed_in)
        return self._settings(parts)

    def _settings(self, parts):
        """Answer what does not hang on the account."""
        statuses = [{"id": key, "name": name, "is_closed": key in CLOSED} for name, key in STATUSES.items()]
        roles = [{"id": key, "name": name} for key, name in ROLES.items()]
        known = {"roles": {"roles": roles}, "issue_statuses": {"issue_statuses": statuses}}
        known |= {"trackers": {"trackers": [self._tracker(key) for key in TRACKERS]}}
        known |= {f"roles/{key}": {"role": self._role(key)} for key in ROLES}
        answer = known.get("/".join(parts))
        return empty(404) if answer is None else answer_json(answer)

    def _sees(self, issue, signed_in):
        project = issue["project_id"]
        return project in self.public or (signed_in and project not in self.hidden)

    def _list(self, query, signed_in):
        """List issues. Unknown parameters, journals among them, are ignored without a word."""
        if signed_in and "view_issues" not in self.permissions[6]:
            return empty(403)
        wanted = self._filters(query)
        if wanted is None:
            return answer_json({"errors": ["Updated is invalid"]}, 422)
        rows = [row for row in self.issues.values() if self._sees(row, signed_in) and all(fits(row) for fits in wanted)]
        rows.sort(key=sort_key(query.get("sort", "")))
        if "sort" not in query:
            rows.reverse()
        offset, limit = self._page(query)
        if self.stuck:
            rows, offset = sorted(self.issues.values(), key=sort_key("updated_on,id")), 0
        total = 10_000 if self.stuck else len(rows)
        shown = [self._row(row) for row in rows[offset : offset + limit]]
        answer = {"issues": shown, "total_count": total, "offset": offset, "limit": limit}
        response = answer_json(answer)
        response.set_cookie("Redmine", "session-of-nobody", path="/")
        return response

    def _filters(self, query):
        """Return what rows must hold, or None for a filter that is refused."""
        wanted = []
        if query.get("status_id", "o") != "*":  # open ones alone, unless all are asked for
            wanted.append(lambda row: row["status_id"] not in CLOSED)
        if "issue_id" in query:
            ids = {int(text) for text in query["issue_id"].split(",")}
            wanted.append(lambda row: row["id"] in ids)
        if "updated_on" in query:
            operator, text = query["updated_on"][:2], query["updated_on"][2:]
            if operator != ">=" or not FILTER_TIME.fullmatch(text) or not text.endswith("Z"):
                return None
            after = datetime.fromisoformat(text) - timedelta(seconds=1)
            wanted.append(lambda row: row["updated_on"] > after)
        return wanted

    def _page(self, query):
        limit = int(query.get("limit", 0)) or 25
        return int(query.get("offset", 0)), min(limit, self.largest_page)

    def _row(self, issue):
        """Return an issue as lists have it: objects without a value are left out, plain fields are null."""
        status = {"id": issue["status_id"], "name": next(k for k, v in STATUSES.items() if v == issue["status_id"])}
        if self.version >= 5:
            status["is_closed"] = issue["status_id"] in CLOSED
        row = {
            "id": issue["id"],
            "project": self.projects[issue["project_id"]],
            "tracker": {"id": issue["tracker_id"], "name": TRACKERS[issue["tracker_id"]]},
            "status": status,
            "priority": {"id": 2, "name": "Normal"},
            "author": self._person(issue["author_id"]),
        }
        if issue["assigned_to_id"] is not None:
            row["assigned_to"] = self._person(issue["assigned_to_id"])
        row |= {name: issue[name] for name in ("subject", "description", "is_private")}
        row |= {"due_date": None, "done_ratio": 0, "estimated_hours": None}
        closed = stamp(issue["updated_on"]) if issue["status_id"] in CLOSED else None
        return row | {
            "created_on": stamp(issue["created_on"]),
            "updated_on": stamp(issue["updated_on"]),
            "closed_on": closed,
        }

    def _show(self, issue_id, query, signed_in):
        if issue_id not in self.issues:
            return empty(404)
        issue = self.issues[issue_id]
        if not self._sees(issue, signed_in):
            return empty(403) if signed_in else self._refuse_anonymous()
        row, include = self._row(issue), query.get("include", "").split(",")
        if "attachments" in include:
            row["attachments"] = [self._file(file) for file in self.files[issue_id]]
        if "journals" in include:
            sees_private = signed_in and "view_private_notes" in self.permissions[6]
            rows = [one for one in self.journals[issue_id] if sees_private or not one["private_notes"]]
            rows = [one for one in rows if one["notes"] or one["details"]]
            rows.sort(key=lambda one: (one["created_on"], one["id"]), reverse=self.newest_note_first)
            row["journals"] = [self._shown(one) for one in rows]
        return answer_json({"issue": row})

    def _shown(self, journal):
        user = {} if journal["user_id"] not in self.users else {"user": self._person(journal["user_id"])}
        row = {"id": journal["id"], **user, "notes": journal["notes"], "created_on": stamp(journal["created_on"])}
        if self.version >= 6:
            row["updated_on"] = stamp(journal["updated_on"])
        return row | {"private_notes": journal["private_notes"], "details": journal["details"]}

    def _file(self, file):
        key, name = file["id"], file["filename"]
        kind, address = "application/pdf", f"http://internal.test/attachments/download/{key}/{name}"
        return {"id": key, "filename": name, "filesize": 100, "content_type": kind, "content_url": address}

    def _person(self, user_id):
        return {"id": user_id, "name": self.users[user_id]["name"]}

    def _me(self, query):
        me = {"id": self.reader, "login": "syncd", "admin": self.is_admin, "firstname": "Sync", "lastname": "Daemon"}
        me |= {"created_on": "2026-01-01T00:00:00Z", "last_login_on": None, "api_key": self.api_key}
        return me | self._memberships_of(self.reader, query)

    def _user(self, user_id, query):
        if user_id not in self.users or self.users[user_id]["locked"]:
            return empty(404)
        first, _, last = self.users[user_id]["name"].partition(" ")
        user = {"id": user_id, "login": first.lower(), "firstname": first, "lastname": last}
        return answer_json({"user": user | self._memberships_of(user_id, query)})

    def _memberships_of(self, user_id, query):
        if query.get("include") != "memberships":
            return {}
        mine = [one for one in self.members if one.get("user", {}).get("id") == user_id]
        return {"memberships": [{"id": one["id"], "project": one["project"], "roles": one["roles"]} for one in mine]}

    def _memberships(self, project, query, signed_in):
        if not self.visible_members or not self._sees({"project_id": project}, signed_in):
            return empty(403)
        rows = [one for one in self.members if one["project"]["id"] == project]
        offset, limit = self._page(query)
        answer = {"memberships": rows[offset : offset + limit], "total_count": len(rows)}
        return answer_json(answer | {"offset": offset, "limit": limit})

    def _role(self, role_id):
        role = {"id": role_id, "name": ROLES[role_id], "assignable": True, "issues_visibility": self.issues_visibility}
        return role | {"users_visibility": "members_of_visible_projects", "permissions": self.permissions[role_id]}

    def _tracker(self, tracker_id):
        default = {"default_status": {"id": 1, "name": "New"}} if self.default_statuses else {}
        return {"id": tracker_id, "name": TRACKERS[tracker_id], **default, "description": None}


def stamp(instant):
    """Return an instant as Redmine writes it: whole seconds, cut and not rounded, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sort_key(names):
    """Return the key for Redmine's `sort`."""
    fields = [name for name in names.split(",") if name] or ["id"]
    return lambda row: tuple(row[name] for name in fields)


def empty(status, headers=None):
    """Return an error as Redmine's API has it: no body, and called JSON."""
    return web.Response(status=status, headers=headers, content_type="application/json")
