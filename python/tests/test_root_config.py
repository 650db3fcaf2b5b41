"""root.json, and the ids that follow from an index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyperhive.errors import BadInput, Unavailable
from hyperhive.root.config import INDEXES, RootConfig, agent_uid, base, is_agents, same_range

GOOD: dict[str, Any] = {
    "stateDir": "/var/lib/hyperhive",
    "runtimeDir": "/run/hyperhive",
    "user": "hyperhive",
    "agents": {"worker": {"index": 3}},
    "containers": {
        "flags": [
            "--no-new-privileges=yes",
            "--tmpfs=/nix/var/nix/profiles:mode=0755,size=1m",
            "--system-call-filter=~@mount",
        ],
        "unit": {"TasksMax": 1024, "ExecStopPost": "-/bin/x %i", "DeviceAllow": ["/dev/a rw", "/dev/b r"]},
    },
}


def _load(tmp_path: Path, value: object) -> RootConfig:
    path = tmp_path / "root.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return RootConfig.load(path)


def _with(path: str, value: object) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(GOOD))
    *parents, last = path.split(".")
    where = copy
    for parent in parents:
        where = where[parent]
    where[last] = value
    return copy


def test_everything_in_it_is_read(tmp_path: Path) -> None:
    config = _load(tmp_path, GOOD)
    assert config == RootConfig(
        state_dir=Path("/var/lib/hyperhive"),
        runtime_dir=Path("/run/hyperhive"),
        user="hyperhive",
        agents={"worker": 3},
        flags=tuple(GOOD["containers"]["flags"]),
        unit={"TasksMax": ("1024",), "ExecStopPost": ("-/bin/x %i",), "DeviceAllow": ("/dev/a rw", "/dev/b r")},
    )


@pytest.mark.parametrize(
    "value",
    [
        "", "[]", "null", "{", {},
        _with("stateDir", "/var/lib/hyper hive"), _with("stateDir", "relative"), _with("runtimeDir", "/run/a:b"),
        _with("stateDir", 7), _with("stateDir", "/var/../etc"), _with("stateDir", "/"),
        _with("agents", []), _with("agents", {"Worker": {"index": 1}}), _with("agents", {"../x": {"index": 1}}),
        _with("agents", {"worker": {}}), _with("agents", {"worker": {"index": -1}}),
        _with("agents", {"worker": {"index": 4094}}), _with("agents", {"worker": {"index": "1"}}),
        _with("agents", {"worker": {"index": True}}), _with("agents", {"worker": {"index": 1.0}}),
        *(_with("containers.flags", [flag]) for flag in ("--b=/a b", "-D", "/x", "--x=$(id)", '--x="', "--x\n")),
        _with("containers.flags", ["--x=*"]), _with("containers.flags", [7]), _with("containers.flags", "--x"),
        _with("containers.unit", {"MemoryMax": "2G\nExecStart=/bin/sh"}), _with("containers.unit", {"A=b": "c"}),
        _with("containers.unit", {"]": "c"}), _with("containers.unit", {"X": ["a", "b\n[Unit]"]}),
    ],
)  # fmt: skip
def test_what_is_wrong_in_it_is_one_line_that_names_the_file(tmp_path: Path, value: object) -> None:
    with pytest.raises(BadInput, match=r"root\.json is not hive-root's configuration: "):
        _load(tmp_path, value)


def test_a_user_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no user 'no-such-user' here"):
        _load(tmp_path, _with("user", "no-such-user")).core()


def test_ids_follow_from_the_index() -> None:
    assert (base(0), base(1), agent_uid(1)) == (1879048192, 1879113728, 1879114728)
    assert base(INDEXES) <= 2147352576  # where systemd's range for foreign files begins
    assert [is_agents(uid) for uid in (0, 1000, base(0) - 1, base(0), base(INDEXES) - 1, base(INDEXES))] == [
        False, False, False, True, True, False,
    ]  # fmt: skip
    assert same_range(base(1), base(2) - 1)
    assert not same_range(base(1), base(2))
    assert not same_range(0, 1)
