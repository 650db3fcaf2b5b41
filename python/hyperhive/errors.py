"""The exceptions that reach a person, sorted by whose fault they are.

A message says what failed, on what, and what to do. They are caught once: in a command's `main` (one `error: …`
line, exit 1) or at a socket's edge (one JSON object with the error's `code`).
"""


class HyperhiveError(Exception):
    """Something a person should read. `code` is its stable name on the sockets, `status` its HTTP status."""

    code = "error"
    status = 500


class BadInput(HyperhiveError):
    """The caller asked for something that cannot be meant: a malformed value, an unknown name."""

    code = "bad_input"
    status = 400


class NotFound(BadInput):
    """The named thing does not exist."""

    code = "not_found"
    status = 404


class Forbidden(HyperhiveError):
    """The caller is not allowed to do this, whatever the arguments."""

    code = "forbidden"
    status = 403


class Conflict(HyperhiveError):
    """The thing is in a state in which this cannot be done (any more)."""

    code = "conflict"
    status = 409


class TooLarge(BadInput):
    """A value is over its documented bound."""

    code = "too_large"
    status = 413


class MailboxFull(HyperhiveError):
    """The recipient's mailbox holds `broker.maxPending` messages: the sender must wait."""

    code = "mailbox_full"
    status = 429


class Rejected(HyperhiveError):
    """An agent's configuration was judged and found wanting; the message is the reason."""

    code = "rejected"
    status = 422


class Unavailable(HyperhiveError):
    """The host lacks something: a program, a port, disk space, a running core."""

    code = "unavailable"
    status = 503
