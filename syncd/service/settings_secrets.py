"""Secrets from beside the settings: systemd credentials and `..._file` paths, read anew at every load.

A credential's name is the place of the value: `api.berlin.api_key`, `systems.support.options.client_secret`,
`database.url`. systemd names the files of a whole directory `ID_FILE` (systemd.exec(5), LoadCredential=), and
syncd.service loads its directory with the ID `credentials`, so `credentials_api.berlin.api_key` is the same. Without
$CREDENTIALS_DIRECTORY the directory `credentials` beside the settings file is read, so that commands run by hand see
the same secrets as the service.
"""

from collections.abc import Mapping
from pathlib import Path

from syncd.model.errors import Problem
from syncd.service.settings_files import is_world_readable, warn_if_writable
from syncd.service.settings_places import Findings, Outline, Place, Tree, leaves, nearest, table_at, write_place

DIRECTORY_ID = "credentials"
LARGEST_SECRET_BYTES = 64 * 1024
OURS = ("api", "systems", "database", "console", "alerts")


class UnreadableSecret(Exception):
    """A file that should hold a secret does not; the message says why."""


def credentials_directory(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return where credentials are: $CREDENTIALS_DIRECTORY, else `credentials` beside the settings file."""
    if given := environ.get("CREDENTIALS_DIRECTORY"):
        return Path(given)
    return path.parent / DIRECTORY_ID if path else None


def read_credentials(directory: Path | None, outline: Outline, configured: Tree, findings: Findings) -> Tree:
    """Return the tree of the credentials. One that belongs to nothing is worth a warning: its api may be gone."""
    read: Tree = {}
    for file in _credential_files(directory):
        name = file.name.removeprefix(f"{DIRECTORY_ID}_")
        place: Place = tuple(name.split("."))
        if place[0] not in OURS:
            continue
        if not _is_wanted(place, outline, configured):
            known = [write_place(one) for one in _wanted_places(outline, configured)]
            findings.warnings.append(Problem(f"credential {name}", f"belongs to no setting{nearest(name, known)}"))
            continue
        try:
            text = read_secret(file, findings)
        except UnreadableSecret as error:
            findings.add(place, f"the credential {name} {error}")
            text = ""
        findings.origins[place] = f"credential {name}"
        table: Tree = read
        for key in place[:-1]:
            table = table.setdefault(key, {})
        table[place[-1]] = text
    return read


def _credential_files(directory: Path | None) -> list[Path]:
    try:
        return sorted(one for one in directory.iterdir() if one.is_file()) if directory else []
    except OSError:  # none are there, or they are not for this user: what is missing will be named
        return []


def _is_wanted(place: Place, outline: Outline, configured: Tree) -> bool:
    if place[0] in {"api", "systems"} and (len(place) < 3 or place[1] not in table_at(configured, place[0])):
        return False
    is_option = place[0] == "systems" and len(place) > 3 and place[2] == "options"
    return outline.is_secret(place) or (is_option and place[-1] in outline.keys_at(place[:-1]))


def _wanted_places(outline: Outline, configured: Tree) -> list[Place]:
    places: list[Place] = [("database", "url"), ("console", "token"), ("alerts", "webhook")]
    places += [("api", name, "api_key") for name in table_at(configured, "api")]
    for name in table_at(configured, "systems"):
        places.append(("systems", name, "webhook_secret"))
        options: Place = ("systems", name, "options")
        places += [(*options, key) for key in outline.keys_at(options) if outline.is_secret((*options, key))]
    return places


def read_secret(file: Path, findings: Findings) -> str:
    """Return the text of a secret's file without the line break at its end; readable by all is worth a warning.

    Raises:
        UnreadableSecret: not there, not readable, no file, too large, not UTF-8, or empty.
    """
    try:
        if not file.is_file():
            raise UnreadableSecret("is no file" if file.exists() else "is not there")
        if file.stat().st_size > LARGEST_SECRET_BYTES:
            raise UnreadableSecret(f"is larger than {LARGEST_SECRET_BYTES // 1024} KiB; this is no secret")
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise UnreadableSecret(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableSecret("is not UTF-8 text") from None
    if not text.strip():
        raise UnreadableSecret("is empty")
    if is_world_readable(file):
        findings.warnings.append(Problem(str(file), "holds a secret and is readable by everybody; chmod o-r it"))
    warn_if_writable(file, findings)
    return text


def put_file_secrets(layers: list[Tree], outline: Outline, base: Path, findings: Findings) -> None:
    """Replace every `..._file` key of a secret by what the file holds, in each layer, the strongest first.

    Relative paths start at `base`. The key and its `..._file` in one layer are a mistake. A file whose value a
    stronger layer gives is not read.
    """
    given: set[Place] = set()
    for layer in layers:
        for place, path in list(leaves(layer)):
            secret = outline.secret_of_file(place)
            if secret is None:
                continue
            table = table_at(layer, *place[:-1])
            del table[place[-1]]
            if secret[-1] in table:
                findings.add(place, f"and {secret[-1]} are both set; leave one of them")
            elif secret not in given:
                table[secret[-1]] = _from_file(place, secret, path, base, findings)
                findings.origins[secret] = findings.origins.get(place, "") or write_place(place)
        given.update(place for place, _ in leaves(layer))


def _from_file(place: Place, secret: Place, path: object, base: Path, findings: Findings) -> str:
    mistake = "must be the path of a file, as text"
    if isinstance(path, str) and path:
        try:
            return read_secret(base / path, findings)
        except UnreadableSecret as error:
            mistake = f"{base / path} {error}"
    findings.add(place, mistake)
    findings.settle(secret)
    return ""
