"""Who may operate the hive: users of this host, known by their number."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from hyperhive.errors import Unavailable


@dataclass(frozen=True)
class Operators:
    """The user ids of the operators."""

    uids: frozenset[int]

    @classmethod
    def named(cls, names: tuple[str, ...]) -> Operators:
        """root, the core's own user and the named ones. Raises Unavailable for an unknown user."""
        return cls(frozenset({0, os.getuid(), *map(uid_of, names)}))

    def has(self, user: str) -> bool:
        """Whether a user of that name, or of that number without a name, is one now."""
        try:
            return pwd.getpwnam(user).pw_uid in self.uids
        except KeyError:
            return user.isdigit() and int(user) in self.uids


def uid_of(name: str) -> int:
    """The user's number. Raises Unavailable for an unknown one."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise Unavailable(
            f"{name!r} is not a user here; fix services.hyperhive.operators or dashboard.proxy"
        ) from error
