"""The units: what systemd says about them, and the keys that the service relies on."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from syncd.service.settings_environment import find_variables

UNITS = Path(__file__).parents[2] / "systemd"
SERVICE, BACKFILL = UNITS / "syncd.service", UNITS / "syncd-backfill@.service"
BOTH = pytest.mark.parametrize("unit", [SERVICE, BACKFILL], ids=lambda unit: unit.name)
HIGHEST_EXPOSURE = 1.5


def keys_of(unit: Path) -> dict[str, list[str]]:
    """Return every key of a unit with its values, in order; a key may come several times."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def analyze() -> str:
    """Return the path of systemd-analyze, which needs no running systemd."""
    found = shutil.which("systemd-analyze")
    if found is None and os.environ.get("SYNCD_TEST_SERVERS") != "required":
        pytest.skip("systemd-analyze is not installed here (Debian: apt-get install systemd)")
    assert found, "systemd-analyze is required (Debian: apt-get install systemd)"
    return found


@BOTH
def test_systemd_understands_the_unit(analyze: str, unit: Path, tmp_path: Path):
    """systemd-analyze verify has nothing to say about either unit (with a program that is there)."""
    text = unit.read_text(encoding="utf-8")
    assert "/opt/syncd/bin/syncd" in text
    copy = tmp_path / unit.name.replace("@", "@support")
    copy.write_text(text.replace("/opt/syncd/bin/syncd", "/bin/true"), encoding="utf-8")
    run = subprocess.run(
        [analyze, "verify", "--recursive-errors=no", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    ours = [line for line in (run.stdout + run.stderr).splitlines() if "syncd" in line]
    assert (run.returncode, ours) == (0, [])


@BOTH
def test_the_service_is_hardly_exposed(analyze: str, unit: Path):
    """systemd-analyze security rates either unit at 1.5 or less (0 is best, 10 is worst)."""
    threshold = f"--threshold={int(HIGHEST_EXPOSURE * 10)}"
    run = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", threshold, str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Overall exposure level" in run.stdout


def test_the_service_is_told_and_watched():
    """systemd waits for READY=1 of the main process, expects the watchdog's food and passes SIGHUP on."""
    keys = keys_of(SERVICE)
    assert keys["Type"] == ["notify"]
    assert keys["NotifyAccess"] == ["main"]
    assert keys["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert keys["WatchdogSec"]
    assert "AF_UNIX" in keys["RestrictAddressFamilies"][0].split()


def test_a_crash_is_restarted_and_a_mistake_is_not():
    """Exit code 2 (settings) is final; everything else that fails is tried again for ever."""
    keys = keys_of(SERVICE)
    assert keys["Restart"] == ["on-failure"]
    assert keys["RestartPreventExitStatus"] == ["2"]
    assert keys["StartLimitIntervalSec"] == ["0"]


def test_a_stop_outlasts_a_request():
    """A stop is given more time than a request may take by default, so that draining is not cut short."""
    assert keys_of(SERVICE)["TimeoutStopSec"] == keys_of(BACKFILL)["TimeoutStopSec"] == ["3min"]


def test_both_units_are_the_same_user_with_the_same_state_and_secrets():
    """One dynamic user, one state directory, one set of credentials: neither unit takes them from the other."""
    service, backfill = keys_of(SERVICE), keys_of(BACKFILL)
    shared = ["DynamicUser", "User", "Group", "UMask", "StateDirectory", "StateDirectoryMode"]
    for key in [*shared, "LoadCredential", "SetCredential"]:
        assert service[key] == backfill[key]
    assert set(service["Environment"]) <= set(backfill["Environment"])
    assert (service["DynamicUser"], service["User"], service["StateDirectory"]) == (["yes"], ["syncd"], ["syncd"])


@BOTH
def test_no_variable_of_a_unit_is_taken_for_a_setting(unit: Path):
    """What a unit sets for itself reaches no setting, and so is no mistake in the settings."""
    environ = dict(value.split("=", 1) for value in keys_of(unit)["Environment"])
    assert find_variables(environ) == {}


def test_both_units_are_hardened_alike():
    """What the service may not do, its backfill may not do either."""
    sections = [unit.read_text(encoding="utf-8").split("CapabilityBoundingSet=")[1] for unit in (SERVICE, BACKFILL)]
    assert sections[0].split("[Install]")[0].strip() == sections[1].strip()


def test_the_console_may_listen():
    """Both kinds of [console] listen work: nothing forbids an address, and /run/syncd is there for a Unix socket.

    The backfill has no such directory: systemd would remove it, socket and all, when the backfill ends.
    """
    keys = keys_of(SERVICE)
    assert keys["RuntimeDirectory"] == ["syncd"]
    assert keys["RuntimeDirectoryMode"] == ["0755"]
    assert {"AF_INET", "AF_INET6", "AF_UNIX"} <= set(keys["RestrictAddressFamilies"][0].split())
    assert not {"IPAddressDeny", "SocketBindDeny", "PrivateNetwork", "RuntimeDirectoryPreserve"} & keys.keys()
    assert "RuntimeDirectory" not in keys_of(BACKFILL)


@BOTH
def test_a_missing_directory_of_credentials_does_not_stop_the_start(unit: Path):
    """The credential has a default of the same ID, which systemd.exec(5) takes when the source is not there."""
    keys = keys_of(unit)
    assert keys["LoadCredential"] == ["credentials:/etc/syncd/credentials"]
    assert keys["SetCredential"][0].startswith("credentials:")


def test_the_backfill_is_for_one_system_and_may_take_its_time():
    """The instance is the system, as it is written; there is no limit of time; and it is not restarted by itself.

    Nobody can be asked there; and what a drop-in puts into the variable becomes words of their own.
    """
    keys = keys_of(BACKFILL)
    assert keys["Type"] == ["oneshot"]
    assert keys["ExecStart"] == ["/opt/syncd/bin/syncd backfill --system %i --yes --wait $SYNCD_BACKFILL_ARGS"]
    assert "SYNCD_BACKFILL_ARGS=" in keys["Environment"]
    assert keys["TimeoutStartSec"] == ["infinity"]
    assert "Restart" not in keys
