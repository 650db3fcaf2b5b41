"""What the operator's API needs of the core."""

from __future__ import annotations

from typing import Any, Protocol

from hyperhive.broker import Broker
from hyperhive.controls import Controls
from hyperhive.dead_letters import DeadLetters
from hyperhive.gateway.pause import Pause
from hyperhive.hub import Hub
from hyperhive.lifecycle import Hive
from hyperhive.logins import Logins
from hyperhive.operators import Operators
from hyperhive.permissions import Permissions
from hyperhive.proposals import Proposals
from hyperhive.store.database import Database
from hyperhive.terminals import Terminals


class OperatorCore(Protocol):
    """The parts of the core that this API shows."""

    database: Database
    broker: Broker
    dead_letters: DeadLetters
    hub: Hub
    pause: Pause
    hive: Hive
    proposals: Proposals
    permissions: Permissions
    controls: Controls
    terminals: Terminals
    operators: Operators
    logins: Logins

    async def status(self) -> dict[str, Any]:
        """The hive at a glance."""

    def dashboard_link(self, actor: str) -> str:
        """An address that logs a browser in once as that actor. Raises Unavailable if there is no dashboard."""
