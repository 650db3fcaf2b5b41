"""The one place where errors become lines and exit codes, for every program of the command line."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # typing's own costs a third of Python's start
if TYPE_CHECKING:
    from collections.abc import Callable

FAILED = 1
INTERRUPTED = 130


def guarded(work: Callable[[], object]) -> int:
    """Run `work` and return the exit code: 0, that of a SystemExit, 1 after `error: …`, 130 after Ctrl-C.

    A reader that went away (`hyperhive audit | head`) ends it quietly. HYPERHIVE_DEBUG=1 shows tracebacks.
    """
    try:
        _print_everything()
        code = _exit_code(work)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return FAILED
    except BaseException as error:
        return _report(error)
    return code


def _print_everything() -> None:
    """Let characters that the terminal's encoding lacks be written out as `\\u65e5` rather than be an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _exit_code(work: Callable[[], object]) -> int:
    try:
        work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED if end.code else 0
    return 0


def _forget_output() -> None:
    """Let what is still buffered go nowhere, so that Python's own last flush does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: BaseException) -> int:
    from hyperhive.cli.output import line  # noqa: PLC0415  (only who fails pays)

    if os.environ.get("HYPERHIVE_DEBUG"):
        import traceback  # noqa: PLC0415

        traceback.print_exception(error)
    known = meant_for_people(error)
    if known is not None:
        said = str(known)
    else:
        said = f"internal: {type(error).__name__}: {error}; run with HYPERHIVE_DEBUG=1 to see where"
    print(f"error: {line(said)}", file=sys.stderr, flush=True)
    return FAILED


def meant_for_people(error: BaseException) -> Exception | None:
    """The first HyperhiveError in `error` (a task group's failure holds several), None if there is none."""
    from hyperhive.errors import HyperhiveError  # noqa: PLC0415

    if isinstance(error, BaseExceptionGroup):
        return next((found for part in error.exceptions if (found := meant_for_people(part))), None)
    return error if isinstance(error, HyperhiveError) else None
