"""What a Jira site holds: people, issues, comments, and an index that lags behind them."""

from datetime import timedelta, timezone

REQUEST_TYPE_FIELD, PARTICIPANTS_FIELD = "customfield_10010", "customfield_10033"
FIELDS = [
    {"id": "summary", "name": "Zusammenfassung", "custom": False, "schema": {"type": "string", "system": "summary"}},
    {
        "id": REQUEST_TYPE_FIELD,
        "name": "Kundenanfragetyp",
        "custom": True,
        "schema": {"type": "sd-customerrequesttype", "custom": "com.atlassian.servicedesk:vp-origin"},
    },
    {
        "id": PARTICIPANTS_FIELD,
        "name": "Anfrageteilnehmer",
        "custom": True,
        "schema": {"type": "array", "items": "user", "custom": "com.atlassian.servicedesk:sd-request-participants"},
    },
    {"id": "thumbnail", "name": "Images", "custom": False},
]


def adf(text):
    """Return a document of one paragraph."""
    return {
        "type": "doc",
        "version": 1,
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}],
    }


class Site:
    """One site. On Cloud texts are documents and comments say who sees them; on Data Center texts are wiki text.

    `lag_seconds` is how far the index is behind, `unindexed` the issues that it has lost for now. `gone` and
    `forbidden` issues are not shown any more. `zone` is the zone of the account's profile: times are told in it.
    """

    def __init__(self, clock, *, is_cloud):
        self.clock, self.is_cloud = clock, is_cloud
        self.zone = timezone(timedelta(hours=1))
        self.lag_seconds = 0
        self.unindexed, self.gone, self.forbidden = set(), set(), set()
        self.issues, self.old_keys = {}, {}
        self.embed_limit = 100 if is_cloud else 100_000
        self._next_id = 10_000
        self.customer = self.person("Carl Customer", "customer")
        self.agent = self.person("Anna Agent", "atlassian")
        self.app = self.person("Automation for Jira", "app")

    def person(self, name, account_type):
        key = f"712020:{len(name)}-{name.split()[0].lower()}"
        if self.is_cloud:
            return {"accountId": key, "accountType": account_type, "displayName": name, "active": True}
        return {"name": name.split()[0].lower(), "key": f"JIRAUSER{key}", "displayName": name, "active": True}

    def new_id(self):
        self._next_id += 1
        return str(self._next_id)

    def open_issue(
        self, at=None, *, project="ABC", reporter=None, text="hello", is_request=True, channel="email", **fields
    ):
        """Make an issue; return its id."""
        at = at or self.clock.now()
        issue_id = self.new_id()
        shown = {
            "summary": "Invoice",
            "status": {"name": "Waiting for support", "statusCategory": {"id": 2, "key": "new", "name": "To Do"}},
            "created": at,
            "reporter": reporter or self.customer,
            "creator": self.agent,
            "assignee": None,
            "description": self.text(text),
            "attachment": [],
            REQUEST_TYPE_FIELD: {"requestType": {"id": "23", "name": "Get help"}} if is_request else None,
            PARTICIPANTS_FIELD: [],
            **fields,
        }
        issue = {"id": issue_id, "key": f"{project}-{issue_id}", "fields": shown, "comments": [], "changes": []}
        issue["channel"] = channel
        self.issues[issue_id] = issue
        self.touch(issue_id, at)
        return issue_id

    def text(self, text):
        return (adf(text) if isinstance(text, str) else text) if self.is_cloud else text

    def comment(self, issue_id, author, text="hi", at=None, *, public=True, edited=None, **fields):
        """Add a comment; return its id. `public` is kept apart from what a comment of Data Center shows."""
        at = at or self.clock.now()
        raw = {"id": self.new_id(), "author": author, "body": self.text(text), "created": at, "updated": edited or at}
        if self.is_cloud:
            raw["jsdPublic"] = public
        raw |= fields
        self.issues[issue_id]["comments"].append({"raw": raw, "public": public})
        self.touch(issue_id, at)
        return raw["id"]

    def set_status(self, issue_id, name, category, at=None):
        self.issues[issue_id]["fields"]["status"] = {"name": name, "statusCategory": {"key": category}}
        self.touch(issue_id, at or self.clock.now())

    def touch(self, issue_id, at):
        self.issues[issue_id]["changes"].append(at)

    def move(self, issue_id, project):
        """Move an issue into another project: its old key still leads to it."""
        issue = self.issues[issue_id]
        self.old_keys[issue["key"]] = issue_id
        issue["key"] = f"{project}-{issue_id}"

    def find(self, name):
        """Return the issue with this id or key, in any case, also with one that it had before."""
        wanted = name.upper()
        if wanted in self.issues:
            return self.issues[wanted]
        by_key = {issue["key"]: issue for issue in self.issues.values()}
        return by_key.get(wanted) or self.issues.get(self.old_keys.get(wanted))

    def indexed(self, begin_ms):
        """Return (time, issue) as the index has them, oldest change first. Data Center's has whole seconds."""
        horizon = self.clock.now() - timedelta(seconds=self.lag_seconds)
        found = []
        for issue in self.issues.values():
            known = [at for at in issue["changes"] if at <= horizon]
            if known and issue["id"] not in self.unindexed | self.gone | self.forbidden:
                at = max(known)
                order = at if self.is_cloud else at.replace(microsecond=0)
                if round(order.timestamp() * 1000) >= begin_ms:
                    found.append((order, int(issue["id"]), at, issue))
        return [(at, issue) for _, _, at, issue in sorted(found, key=lambda row: row[:2])]

    def stamp(self, at):
        """Write an instant as Jira does: milliseconds, an offset without a colon, in the account's zone."""
        return at.astimezone(self.zone).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}+0100"

    def shown(self, issue, wanted, updated=None):
        """Return fields of an issue as its JSON has them. Comments come cut: the oldest are missing."""
        fields = dict(issue["fields"])
        fields["created"] = self.stamp(fields["created"])
        fields["updated"] = self.stamp(updated or max(issue["changes"]))
        comments = [self.shown_comment(one) for one in issue["comments"]][-self.embed_limit :]
        total = len(issue["comments"])
        fields["comment"] = {"comments": comments, "maxResults": len(comments), "total": total, "startAt": 0}
        return {name: value for name, value in fields.items() if name in wanted}

    def shown_comment(self, one, *, rendered=False):
        raw = one["raw"]
        shown = {**raw, "created": self.stamp(raw["created"]), "updated": self.stamp(raw["updated"])}
        return shown | ({"renderedBody": html(raw["body"])} if rendered else {})

    def service_comment(self, one):
        raw = one["raw"]
        created = {"iso8601": self.stamp(raw["created"]), "epochMillis": int(raw["created"].timestamp() * 1000)}
        return {"id": raw["id"], "body": "wiki", "public": one["public"], "author": raw["author"], "created": created}


def html(text):
    """Return what Data Center makes of wiki text."""
    return f"<p>{text}</p>"
