"""The one POSIX access list that the hive needs: a directory of a container's, which the core may use as well.

Its owner and its group must both be ids of the container: over a file with any other the container's root has no power.
So the core's leave cannot be by group.
"""

from __future__ import annotations

import os
import struct

from hyperhive.root.directories import Directory, explained
from hyperhive.root.journal import say

_NAME = "system.posix_acl_access"
_NOBODY = 0xFFFFFFFF  # an entry without a name
_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")  # tag, permissions, id: linux/posix_acl_xattr.h


def share(directory: Directory, uid: int) -> None:
    """Let the owner and the user `uid`, and nobody else, list and change `directory`; what is in it has owners of its
    own. Raises Unavailable on a file system without access lists.
    """
    entries = ((0x01, 7, _NOBODY), (0x02, 7, uid), (0x04, 0, _NOBODY), (0x10, 7, _NOBODY), (0x20, 0, _NOBODY))
    wanted = _VERSION.pack(2) + b"".join(_ENTRY.pack(*entry) for entry in entries)
    with explained(directory.path):
        if _present(directory) != wanted:
            os.setxattr(directory.fd, _NAME, wanted)
            say(f"let {uid} use {directory.path}")


def _present(directory: Directory) -> bytes | None:
    return os.getxattr(directory.fd, _NAME) if _NAME in os.listxattr(directory.fd) else None
