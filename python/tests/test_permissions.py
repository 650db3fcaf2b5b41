"""What an agent may run now: its applied settings decide, and its denials are recorded, within bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from core_rig import hive

from hyperhive import permissions
from hyperhive.errors import NotFound
from hyperhive.store import audit

NIX = '{ hyperhive.agent.bash.allow = [ "git status" ]; }'


async def denials(core: object) -> list[dict[str, object]]:
    rows = await core.database.read(lambda c: audit.entries(c, agent="worker", limit=1000))  # type: ignore[attr-defined]
    return [row.detail for row in rows if row.action == "bash.denied"]


def test_a_denied_command_is_in_the_audit_log_an_explained_one_is_not(tmp_path: Path) -> None:
    async def go() -> None:
        async with hive(tmp_path) as made:
            await made.create("worker", nix=NIX)
            core = made.core
            assert (await core.permissions.decide("worker", "git status", "/state/work")).allowed
            assert not (await core.permissions.explain("worker", "git push")).allowed
            assert await denials(core) == []
            assert not (await core.permissions.decide("worker", "git push", "/state/work")).allowed
            (row,) = await denials(core)
            assert row == {"command": "git push", "reason": "`git push`: no rule of bash.allow matches it"}

    asyncio.run(go())


def test_the_settings_are_the_applied_ones(tmp_path: Path) -> None:
    async def go() -> None:
        async with hive(tmp_path) as made:
            await made.create("worker", nix=NIX)
            row = await made.propose("worker", '{ hyperhive.agent.bash.allow = [ "git *" ]; }')
            assert not (await made.core.permissions.explain("worker", "git push")).allowed
            await made.approve(row)
            assert (await made.core.permissions.explain("worker", "git push")).allowed
            with pytest.raises(NotFound):
                await made.core.permissions.explain("nobody", "ls")

    asyncio.run(go())


def test_an_agent_cannot_fill_the_disk_with_denials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permissions, "RECORDED", 3)
    monkeypatch.setattr(permissions, "TICK", 3600.0)

    async def go() -> None:
        async with hive(tmp_path) as made:
            await made.create("worker", nix=NIX)
            for number in range(6):
                await made.core.permissions.decide("worker", f"rm {number}", "/state/work")
            assert [row["command"] for row in await denials(made.core)] == ["rm 0", "rm 1", "rm 2"]
            made.core.permissions._allowances["worker"].left = 1
            await made.core.permissions.decide("worker", "x" * 5000, "/state/work")
            *_, last = await denials(made.core)
            assert last["unrecorded"] == 3 and len(str(last["command"])) == 2000

    asyncio.run(go())
