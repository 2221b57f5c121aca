"""Whether a dependency has a known vulnerability: every package of requirements.lock is asked for at PyPI.

    python -m tests.security.audit      (make lint does it)

A finding fails. So does a package that PyPI does not know while it knows others. Where PyPI's advisories cannot be
reached at all, nothing was checked: that is said loudly and passes, unless SYNCD_AUDIT=required. pip-audit alone
would pass silently where a mirror has no advisories.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements.lock"
LONGEST_SECONDS = 120
ARGUMENTS = ("--requirement", str(LOCK), "--require-hashes", "--disable-pip", "--format", "json")
QUIET = ("--progress-spinner", "off", "--timeout", "10")
NOBODY_THERE = ("ConnectionError", "Timeout", "Max retries exceeded", "ServiceError")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it: whether it passes, and what to say."""

    passes: bool
    said: str


def judge(code: int, out: str, err: str, environ: Mapping[str, str]) -> Verdict:
    """Return what an answer of pip-audit means. Only its report says that anything was checked."""
    try:
        packages = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        if any(word in err for word in NOBODY_THERE):
            return _unreached(environ)
        return Verdict(False, f"pip-audit failed with exit code {code}:\n{err[-2000:]}")
    found = [
        f"{package['name']} {package['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'none yet'}"
        for package in packages
        for one in package.get("vulns", ())
    ]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if found:
        return Verdict(False, "\n".join(["Vulnerable dependencies; change pyproject.toml and `make lock`:", *found]))
    if len(unknown) == len(packages):
        return _unreached(environ)
    if unknown:
        return Verdict(False, f"PyPI does not know these packages of requirements.lock: {', '.join(unknown)}")
    return Verdict(True, f"{len(packages)} dependencies, none with a known vulnerability")


def _unreached(environ: Mapping[str, str]) -> Verdict:
    said = "NOT AUDITED: the advisories of PyPI cannot be reached from here, so no dependency was checked"
    required = environ.get("SYNCD_AUDIT") == "required"
    return Verdict(not required, said + (" (SYNCD_AUDIT=required)" if required else ""))


def run_audit() -> Verdict:
    """Ask pip-audit and judge its answer."""
    command = [sys.executable, "-m", "pip_audit", *ARGUMENTS, *QUIET]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return _unreached(os.environ)
    return judge(ran.returncode, ran.stdout, ran.stderr, os.environ)


if __name__ == "__main__":
    verdict = run_audit()
    print(f"audit: {verdict.said}", file=sys.stderr)  # noqa: T201 - a program of its own
    sys.exit(not verdict.passes)
