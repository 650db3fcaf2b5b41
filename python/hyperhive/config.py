"""The operator's configuration of the core: core.json, written by the NixOS module or by `hyperhive run`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from hyperhive.bounds import BrokerLimits, HistoryLimits
from hyperhive.errors import BadInput
from hyperhive.gateway.prices import Price, Prices
from hyperhive.loop_guard import Rate
from hyperhive.policy.ceilings import Ceilings
from hyperhive.settings import Role, check_name


class BackendKind(StrEnum):
    """What an agent's container is: a bubblewrap sandbox here, or NixOS' container@NAME."""

    LOCAL = "local"
    NIXOS = "nixos"


class AutoApprove(StrEnum):
    """Which proposals are approved without asking anybody."""

    NEVER = "never"
    NARROWING = "narrowing"


@dataclass(frozen=True)
class DeclaredAgent:
    """An agent that the host's configuration names; `defaults` are below its agent.nix."""

    name: str
    role: Role
    auto_start: bool = True
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dashboard:
    """Where browsers find the dashboard: a port of 127.0.0.1 (0: any) under loopback's names and `hosts`.

    A reverse proxy that runs as `proxy_user` has dashboard.sock, and names its users in `proxy_header`. A terminal that
    nobody uses ends after `terminal_idle` seconds.
    """

    enable: bool = False
    port: int = 8420
    hosts: tuple[str, ...] = ()
    proxy_user: str | None = None
    proxy_header: str = "X-Remote-User"
    terminal_idle: float = 1800.0

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Dashboard:
        """Build from core.json's object."""
        proxy = value.get("proxy", {})
        return cls(
            enable=bool(value.get("enable", False)),
            port=int(value.get("port", cls.port)),
            hosts=tuple(value.get("hosts", ())),
            proxy_user=proxy.get("user"),
            proxy_header=str(proxy.get("header", cls.proxy_header)),
            terminal_idle=float(value.get("terminalIdle", cls.terminal_idle)),
        )


@dataclass(frozen=True)
class CoreConfig:
    """The core's whole configuration. Times are in seconds.

    `health` is how long an applied generation may take to its first heartbeat, `drain` how long a running turn may
    go on when its agent is to stop; `key_file` holds the model API's key, read again at each request, and `prices` are
    the host's own for its models; `auto_approve` lets pure narrowings through without asking.
    """

    state_dir: Path
    runtime_dir: Path
    backend: BackendKind
    model_url: str
    key_file: Path | None = None
    prices: Prices = field(default_factory=dict)
    operators: tuple[str, ...] = ()
    policy: Ceilings = field(default_factory=Ceilings)
    auto_approve: bool = False
    broker: BrokerLimits = field(default_factory=BrokerLimits)
    history: HistoryLimits = field(default_factory=HistoryLimits)
    dashboard: Dashboard = field(default_factory=Dashboard)
    agents: tuple[DeclaredAgent, ...] = ()
    claude: str = "claude"
    health: float = 30.0
    drain: float = 60.0

    @property
    def configs(self) -> Path:
        """Where the agents' config repositories are, as NAME/config. On NixOS they are apart from the agents' state,
        so that the manager's container can hold them as one directory.
        """
        return self.state_dir / ("configs" if self.backend is BackendKind.NIXOS else "agents")

    @classmethod
    def load(cls, path: Path) -> CoreConfig:
        """Read core.json. Raises BadInput that names the file and the key."""
        try:
            return cls.from_json(json.loads(path.read_text()))
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}; give --config FILE or --state DIR") from error
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadInput(f"{path} is not a core configuration: {repr(error)[:300]}") from error

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CoreConfig:
        """Build from core.json's object; raises what `load` catches where it is malformed."""
        api = value["modelApi"]
        policy = dict(value.get("policy", {}))
        auto_approve = AutoApprove(policy.pop("autoApprove", AutoApprove.NEVER))
        return cls(
            state_dir=Path(value["stateDir"]),
            runtime_dir=Path(value["runtimeDir"]),
            backend=BackendKind(value["backend"]),
            model_url=api["url"],
            key_file=Path(api["keyFile"]) if api.get("keyFile") else None,
            prices={name: Price(**price) for name, price in api.get("prices", {}).items()},
            operators=tuple(value.get("operators", ())),
            policy=Ceilings.from_json(policy),
            auto_approve=auto_approve is AutoApprove.NARROWING,
            broker=_broker(value.get("broker", {})),
            history=_history(value.get("history", {})),
            dashboard=Dashboard.from_json(value.get("dashboard", {})),
            agents=tuple(_declared(name, agent) for name, agent in value.get("agents", {}).items()),
            claude=value.get("claude", "claude"),
            health=float(value.get("health", 30)),
            drain=float(value.get("drain", 60)),
        )


def _broker(value: dict[str, Any]) -> BrokerLimits:
    return BrokerLimits(
        max_pending=value.get("maxPending", BrokerLimits.max_pending),
        retention_days=value.get("retention", BrokerLimits.retention_days),
        max_rows=value.get("maxRows", BrokerLimits.max_rows),
        max_hops=value.get("maxHops", BrokerLimits.max_hops),
        edge=_rate(value.get("edgePerMinute"), BrokerLimits.edge),
        agent=_rate(value.get("agentPerMinute"), BrokerLimits.agent),
    )


def _rate(per_minute: int | None, default: Rate) -> Rate:
    """Half a minute's messages may come at once."""
    return default if per_minute is None else Rate(burst=max(1, per_minute // 2), per_minute=per_minute)


def _history(value: dict[str, Any]) -> HistoryLimits:
    mebibytes = value.get("maxEvents")
    return HistoryLimits(
        retention_days=value.get("retention", HistoryLimits.retention_days),
        max_turns=value.get("maxTurns", HistoryLimits.max_turns),
        max_event_bytes=HistoryLimits.max_event_bytes if mebibytes is None else mebibytes * 1024 * 1024,
        max_proposals=value.get("maxProposals", HistoryLimits.max_proposals),
        usage_days=value.get("usage", HistoryLimits.usage_days),
    )


def _declared(name: str, value: dict[str, Any]) -> DeclaredAgent:
    return DeclaredAgent(
        check_name(name), Role(value["role"]), bool(value.get("autoStart", True)), dict(value.get("defaults", {}))
    )
