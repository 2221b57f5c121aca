"""The manual page and the table of commands for shells say what the commands say of themselves."""

import shutil
import subprocess

import pytest

from tests.docs.manual import MANUAL, TABLE, manual, table


def test_both_are_current():
    """Both files are what is made of the commands; `make docs` writes them anew."""
    assert MANUAL.read_text(encoding="utf-8") == manual()
    assert TABLE.read_text(encoding="utf-8") == table()


def test_the_page_is_one_that_man_understands():
    """The formatter of manual pages has nothing to complain about, and the page shows the commands."""
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("no groff here")
    ran = subprocess.run([groff, "-man", "-Tutf8", "-P-bcu", "-ww", str(MANUAL)], capture_output=True, check=True)
    assert ran.stderr == b""
    assert b"syncd deliveries resolve" in ran.stdout
