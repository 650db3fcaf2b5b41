"""What the agents' MCP tools may ask of the core; the tools check the role, the core does it (api.mcp_tools)."""

from __future__ import annotations

from typing import Any

from hyperhive.controls import Controls
from hyperhive.errors import Conflict, HyperhiveError
from hyperhive.lifecycle import Hive
from hyperhive.proposals import Proposals
from hyperhive.settings import Role, Settings
from hyperhive.store import turns
from hyperhive.store.database import Database

LISTED = 20


class ManagerFacade:
    """hyperhive.api.mcp_tools.HiveFacade on the real hive. No method of it can approve anything."""

    def __init__(self, hive: Hive, proposals: Proposals, controls: Controls, database: Database) -> None:
        self._hive = hive
        self._proposals = proposals
        self._controls = controls
        self._database = database

    async def role(self, agent: str) -> Role:
        """The applied role. Raises NotFound."""
        return (await self.settings(agent)).role

    async def settings(self, agent: str) -> Settings:
        """The applied settings. Raises NotFound."""
        return await self._hive.settings(agent)

    async def append_note(self, agent: str, text: str) -> int:
        """Append to the agent's notes; returns their size in bytes. Raises BadInput, Conflict, Unavailable."""
        settings = await self.settings(agent)
        turn = await self._database.read(lambda c: turns.running(c, agent))
        return await self._controls.append_notes(agent, settings.notes, text, turn)

    async def notes_size(self, agent: str) -> int | None:
        """Bytes of the agent's notes; None if its harness cannot say now."""
        try:
            return (await self._controls.read_notes(agent, (await self.settings(agent)).notes)).bytes
        except HyperhiveError:
            return None

    async def list_agents(self) -> list[dict[str, Any]]:
        """Every agent at a glance."""
        return await self._hive.views()

    async def agent_status(self, name: str) -> dict[str, Any]:
        """Everything about one agent. Raises NotFound."""
        return await self._hive.details(name)

    async def request_apply(self, agent: str, commit: str, reason: str, requester: str) -> dict[str, Any]:
        """Request an apply; the check runs on. Raises NotFound, BadInput."""
        return (await self._proposals.request(agent, commit, reason, requester)).view(whole=False)

    async def proposals(self, agent: str | None) -> list[dict[str, Any]]:
        """The newest proposals, newest first."""
        return [row.view(whole=False) for row in await self._proposals.find(agent, (), LISTED)]

    async def start(self, agent: str, actor: str) -> dict[str, Any]:
        """Start an agent."""
        await self._hive.start(agent, actor)
        return await self._hive.view(agent)

    async def stop(self, agent: str, actor: str) -> dict[str, Any]:
        """Stop an agent. Raises Conflict for the caller itself."""
        _not_itself(agent, actor)
        await self._hive.stop(agent, actor)
        return await self._hive.view(agent)

    async def restart(self, agent: str, actor: str) -> dict[str, Any]:
        """Restart an agent. Raises Conflict for the caller itself."""
        _not_itself(agent, actor)
        await self._hive.restart(agent, actor)
        return await self._hive.view(agent)


def _not_itself(agent: str, actor: str) -> None:
    """Stopping waits for the running turn, and the turn would wait for the stop."""
    if agent == actor:
        raise Conflict("you cannot stop or restart yourself in your own turn; ask the operator")
