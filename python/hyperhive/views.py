"""What is shown of agents: each at a glance, or everything about one."""

from __future__ import annotations

import sqlite3
from typing import Any

from hyperhive.activity import Activities
from hyperhive.budgets import Budgets
from hyperhive.containers import Backend, ContainerState
from hyperhive.heartbeats import Heartbeats
from hyperhive.store import agents, generations, messages, turns, usage
from hyperhive.store.agents import Agent
from hyperhive.store.database import Database


class Views:
    """The JSON objects of agents that the sockets show."""

    def __init__(
        self, database: Database, backend: Backend, heartbeats: Heartbeats, activities: Activities, budgets: Budgets
    ) -> None:
        self._database = database
        self._backend = backend
        self._heartbeats = heartbeats
        self._activities = activities
        self._budgets = budgets

    async def one(self, name: str) -> dict[str, Any]:
        """One agent at a glance. Raises NotFound."""
        return await self._database.read(lambda c: self._view(c, agents.get(c, name)))

    async def every(self) -> list[dict[str, Any]]:
        """Every agent at a glance, by name."""
        return await self._database.read(lambda c: [self._view(c, agent) for agent in agents.all_agents(c)])

    async def details(self, name: str) -> dict[str, Any]:
        """Everything about one agent: the view, settings and their sources, overrides, generations and token use."""

        def load(connection: sqlite3.Connection) -> dict[str, Any]:
            agent = agents.get(connection, name)
            history = generations.of_agent(connection, name)
            running = next((g for g in history if g.number == agent.generation), None)
            return {
                **self._view(connection, agent),
                "settings": running.settings.to_json() if running else None,
                "sources": running.sources if running else {},
                "overrides": agent.overrides,
                "generations": [generation.view() for generation in history],
                "usage": usage.for_agent(connection, name),
            }

        return await self._database.read(load)

    def _view(self, connection: sqlite3.Connection, agent: Agent) -> dict[str, Any]:
        state = self._backend.state(agent.name)
        beat = self._heartbeats.last(agent.name) if state is ContainerState.RUNNING else None
        current = generations.get(connection, agent.name, agent.generation) if agent.generation else None
        turn = turns.last_for(connection, agent.name)
        over = self._budgets.over(agent.name)
        return {
            "name": agent.name,
            "role": str(agent.role),
            "state": str(state),
            "desired": agent.desired,
            "generation": agent.generation,
            "model": current.settings.model if current else None,
            "model_override": "model" in agent.overrides,
            "unread": messages.pending(connection, agent.name),
            "last_turn": turn.view() if turn else None,
            "activity": beat.activity if beat else None,
            "trouble": beat.trouble if beat else None,
            "doing": self._activities.of(agent.name),
            "over_budget": over.view() if over else None,
        }
