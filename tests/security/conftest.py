"""The program, and both ends for it, as the tests of the commands have them."""

from tests.console.conftest import ends, syncd

__all__ = ["ends", "syncd"]
