"""What the agents' MCP tools may ask of the core; the tools check the role, the core does it (api.mcp_tools)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hyperhive.errors import Conflict
from hyperhive.lifecycle import Hive
from hyperhive.proposals import Proposals
from hyperhive.settings import Role, Settings

LISTED = 20


class ManagerFacade:
    """hyperhive.api.mcp_tools.HiveFacade on the real hive. No method of it can approve anything."""

    def __init__(self, hive: Hive, proposals: Proposals, state_dir: Path) -> None:
        self._hive = hive
        self._proposals = proposals
        self._state_dir = state_dir

    async def role(self, agent: str) -> Role:
        """The applied role. Raises NotFound."""
        return (await self.settings(agent)).role

    async def settings(self, agent: str) -> Settings:
        """The applied settings. Raises NotFound."""
        return await self._hive.settings(agent)

    def state_dir(self, agent: str) -> Path:
        """The agent's durable home on the host."""
        return self._state_dir / "agents" / agent / "state"

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
