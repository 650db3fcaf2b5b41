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
    """`state` is what the agent sees as /state, `private` the harness's own directory, which it does not see; `cage`
    the argv prefix that a turn's command is run under, `terminal` that of an operator's shell, and `terminal_end` what
    ends every process of the latter; `claude` is the program's path inside; `drain` how long (seconds) a turn may go on
    after SIGTERM; `cgroup` the directory that counts what a turn uses, where it has one; `memory_max` how many bytes a
    turn may hold where no cgroup bounds it.
    """

    socket: Path
    settings: Settings
    generation: int
    state: Path
    private: Path
    cage: tuple[str, ...]
    claude: str
    drain: float
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
