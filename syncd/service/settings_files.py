"""The settings files: one TOML file, and `conf.d/*.toml` beside it, merged into one tree. Nothing is validated here."""

import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

from syncd.model.errors import Problem, SettingsError
from syncd.service.settings_places import Findings, Place, Tree

DEFAULT_PATH = Path("/etc/syncd/config.toml")
LARGEST_FILE_BYTES = 16 * 1024 * 1024
DEEPEST_PLACE = 20
AT_POSITION = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)


class TooLarge(ValueError):
    """A file that is too large to be read at all."""


def find_settings_path(option: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the settings file: what `--config` says, else $SYNCD_CONFIG, else /etc/syncd/config.toml."""
    return option or Path(environ.get("SYNCD_CONFIG") or DEFAULT_PATH)


def read_settings_files(path: Path, findings: Findings) -> Tree:
    """Return the tree of the file and of `conf.d/*.toml` beside it, merged in the order of their names.

    A key that stands in two files is a mistake that names both.

    Raises:
        SettingsError: a file cannot be read, or is no TOML; every such file is named, and nothing else is checked.
    """
    paths = [path, *_parts(path.parent / "conf.d")]
    unreadable: list[Problem] = []
    trees: list[tuple[str, Tree]] = []
    for one in paths:
        name = one.name if one is path else f"conf.d/{one.name}"
        try:
            trees.append((name, tomllib.loads(_text(one))))
            warn_if_writable(one, findings)
        except tomllib.TOMLDecodeError as error:
            unreadable.append(_syntax_problem(one, error))
        except (OSError, ValueError, RecursionError) as error:
            unreadable.append(Problem(str(one), _unreadable(one, path, error)))
    if unreadable:
        raise SettingsError(unreadable) from None
    merged: Tree = {}
    owners: dict[Place, str] = {}
    for name, tree in trees:
        _merge(merged, tree, (), name, owners, findings)
    if len(trees) > 1:
        findings.origins.update({place: owner for place, owner in owners.items() if len(place) > 1})
    return merged


def _parts(directory: Path) -> list[Path]:
    try:
        found = [one for one in directory.iterdir() if one.suffix == ".toml" and not one.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SettingsError([Problem(str(directory), f"cannot be listed: {error.strerror}")]) from None
    return sorted(found, key=lambda one: one.name)


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise TooLarge
    return path.read_bytes().decode("utf-8-sig")


def _unreadable(path: Path, main: Path, error: OSError | ValueError | RecursionError) -> str:
    if isinstance(error, FileNotFoundError) and path == main:
        return (
            "there are no settings here; copy config.example.toml, which shows every key, "
            "or name another file with --config or SYNCD_CONFIG"
        )
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8 text (byte {error.start})"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    if isinstance(error, TooLarge):
        return f"is larger than {LARGEST_FILE_BYTES // 2**20} MiB; this is no settings file"
    what = "brackets are nested too deep" if isinstance(error, RecursionError) else "a number has too many digits"
    return f"is no TOML that can be read: {what}"


def _syntax_problem(path: Path, error: tomllib.TOMLDecodeError) -> Problem:
    found = AT_POSITION.fullmatch(str(error))
    if found is None or found["line"] is None:
        return Problem(f"{path}, at its end", f"is no TOML: {found['what'] if found else error}")
    return Problem(f"{path}, line {found['line']}, column {found['column']}", f"is no TOML: {found['what']}")


def _merge(merged: Tree, tree: Tree, place: Place, name: str, owners: dict[Place, str], findings: Findings) -> None:
    for key, value in tree.items():
        here = (*place, key)
        if len(here) > DEEPEST_PLACE:
            findings.add(place[:3], "is nested too deep")
            return
        known = merged.get(key)
        if key not in merged:
            merged[key] = value if not isinstance(value, dict) else {}
            owners[here] = name
            known = merged[key]
        elif not (isinstance(value, dict) and isinstance(known, dict)):
            findings.add(here, f"stands in {owners[here]} and in {name}; leave one of them")
            continue
        if isinstance(value, dict):
            _merge(known, value, here, name, owners, findings)


def is_world_readable(path: Path) -> bool:
    """Tell whether everybody on this machine can read a file."""
    return _has_mode(path, stat.S_IROTH)


def warn_if_writable(path: Path, findings: Findings) -> None:
    """Note a file that everybody can change: whoever does can have keys and messages sent to an address of his own."""
    if _has_mode(path, stat.S_IWOTH):
        findings.warnings.append(Problem(str(path), "can be changed by everybody; chmod o-w it"))


def _has_mode(path: Path, mode: int) -> bool:
    try:
        return bool(path.stat().st_mode & mode)
    except OSError:
        return False
