"""Files beside the database: readable by their owner alone, who is the owner of the folder.

Root may run a command before the service has ever started. What it makes then must be the service's, or the service
could not open it.
"""

import contextlib
import os
import stat
from pathlib import Path


def ensure_private_file(path: Path) -> None:
    """Make a file if it is not there, mode 0600, owned as its folder is; whatever fails is told by who opens it.

    It is made without being opened: whoever closes a file gives up every lock that his process has on it, those of
    SQLite too.
    """
    with contextlib.suppress(OSError):
        os.mknod(path, 0o600 | stat.S_IFREG)
        if os.geteuid() == 0:
            folder = path.parent.stat()
            os.chown(path, folder.st_uid, folder.st_gid)
