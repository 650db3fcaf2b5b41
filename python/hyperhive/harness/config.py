"""What the harness is told by its backend: harness.json, and the settings of the generation it runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyperhive.errors import BadInput
from hyperhive.settings import Settings


@dataclass(frozen=True)
class HarnessConfig:
    """What a backend tells its harness.

    `state` is what the agent sees as /state, `private` the harness's own directory, which it does not see. `cage` is
    the argv prefix that a command is run under in what the agent may do, `turn` that of a turn (empty: the same), and
    `terminal` that of an operator's shell; `turn_end` and `terminal_end` end every process of these where killing the
    prefix does not. `claude` is the program's path inside; `drain` how long (seconds) a turn may go on after SIGTERM.
    `cgroup` is the directory that counts what turns use, where they have one; `memory_max` how many bytes a turn may
    hold where no cgroup bounds it.
    """

    socket: Path
    settings: Settings
    generation: int
    state: Path
    private: Path
    cage: tuple[str, ...]
    claude: str
    drain: float
    turn: tuple[str, ...] = ()
    turn_end: tuple[str, ...] = ()
    terminal: tuple[str, ...] = ()
    terminal_end: tuple[str, ...] = ()
    cgroup: Path | None = None
    memory_max: int | None = None

    @classmethod
    def load(cls, path: Path) -> HarnessConfig:
        """Read harness.json and the settings that it names. Raises BadInput."""
        try:
            value: dict[str, Any] = json.loads(path.read_text())
            settings = json.loads(Path(value["settings"]).read_text())
            return cls(
                socket=Path(value["socket"]),
                settings=Settings.from_json(settings),
                generation=int(value["generation"]),
                state=Path(value["state"]),
                private=Path(value["private"]),
                cage=tuple(value["cage"]["argv"]),
                claude=value["claude"],
                drain=float(value["drain"]),
                turn=tuple(value["cage"].get("turn") or ()),
                turn_end=tuple(value["cage"].get("turnEnd", ())),
                terminal=tuple(value["cage"].get("terminal") or value["cage"]["argv"]),
                terminal_end=tuple(value["cage"].get("terminalEnd", ())),
                cgroup=Path(value["cage"]["cgroup"]) if "cgroup" in value["cage"] else None,
                memory_max=int(value["cage"]["memoryMax"]) if "memoryMax" in value["cage"] else None,
            )
        except OSError as error:
            raise BadInput(f"{error.filename}: {error.strerror}; the backend writes it, give --config FILE") from error
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise BadInput(f"{path} is not a harness configuration: {repr(error)[:300]}") from error

    def refreshed(self, path: Path) -> HarnessConfig:
        """The same with the cage as it is described now (a manager's grows with the hive)."""
        try:
            cage = tuple(json.loads(path.read_text())["cage"]["argv"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return self
        return replace(self, cage=cage)
