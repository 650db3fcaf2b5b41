"""hive-c0re: builds the parts, connects them, and runs until it is told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

from hyperhive import __version__, usage_limit
from hyperhive.activity import Activities
from hyperhive.api.harness import MAX_CONNECTIONS, create_harness_app
from hyperhive.api.hook import hook_listener
from hyperhive.api.mcp import mcp_listener
from hyperhive.api.mcp_tools import HiveTools
from hyperhive.api.operator import create_operator_app
from hyperhive.api.server import Servers, bind_loopback
from hyperhive.api.web import ByCookie, ByProxy, WebConfig, cookie_name, create_web_app
from hyperhive.broker import Broker
from hyperhive.budgets import Budgets
from hyperhive.config import BackendKind, CoreConfig
from hyperhive.containers import Backend, Crash
from hyperhive.containers.local import LocalBackend
from hyperhive.controls import Controls
from hyperhive.dead_letters import DeadLetters
from hyperhive.errors import Conflict, Unavailable
from hyperhive.exchange import OPERATOR
from hyperhive.facade import ManagerFacade
from hyperhive.flakes.build import default_builder
from hyperhive.flakes.evaluate import Evaluator, default_evaluator
from hyperhive.gateway.model import create_model_app
from hyperhive.gateway.upstream import ModelApi
from hyperhive.generations import Generations
from hyperhive.heartbeats import Heartbeats
from hyperhive.hub import Hub
from hyperhive.lifecycle import Hive
from hyperhive.logins import Logins
from hyperhive.operators import Operators, uid_of
from hyperhive.permissions import Permissions
from hyperhive.proposals import Proposals
from hyperhive.retention import Retention
from hyperhive.store import agents, audit, messages, parked
from hyperhive.store.database import Database
from hyperhive.store.proposals import State
from hyperhive.terminals import Terminals

log = logging.getLogger(__name__)

EXPIRE_EVERY = 5.0


class Core:
    """The running core. Made by `running_core`; its attributes are the parts that the APIs show."""

    def __init__(self, config: CoreConfig, database: Database, group: asyncio.TaskGroup) -> None:
        self.config = config
        self.database = database
        self._group = group
        self._background: set[asyncio.Task[None]] = set()
        self.hub = Hub()
        self.broker = Broker(database, self.hub, config.broker)
        self._retention = Retention(database, self.broker, config.broker, config.history)
        self.dead_letters = DeadLetters(database, self.broker)
        self.budgets = Budgets(database, self.broker, self.hub, config.policy, config.prices)
        self.heartbeats = Heartbeats()
        self.activities = Activities(self.hub)
        self.operators = Operators.named(config.operators)
        self._servers = Servers()
        self.pause = usage_limit.pause_of(database, self.broker, self.hub)
        api = ModelApi(config.model_url, key=self._model_key)
        self._models = create_model_app(api, self.budgets.count, self.pause, self.budgets.check)
        evaluator = default_evaluator()
        backend = self._backend(evaluator)
        generations = Generations(
            state_dir=config.state_dir,
            configs=config.configs,
            database=database,
            backend=backend,
            evaluator=evaluator,
            heartbeats=self.heartbeats,
            health=config.health,
            defaults={agent.name: agent.defaults for agent in config.agents},
            ceilings=config.policy,
        )
        self.hive = Hive(
            database=database,
            broker=self.broker,
            hub=self.hub,
            backend=backend,
            generations=generations,
            heartbeats=self.heartbeats,
            activities=self.activities,
            budgets=self.budgets,
            sockets=self,
        )
        self.proposals = Proposals(
            database=database,
            broker=self.broker,
            hub=self.hub,
            generations=generations,
            auto_approve=config.auto_approve,
            spawn=self.spawn,
            lock=self.hive.lock,
        )
        self.backend = backend
        self.permissions = Permissions(self.hive, database, self.hub)
        self.controls = Controls(database)
        self.terminals = Terminals(database, self.controls, idle=config.dashboard.terminal_idle)
        self.logins = Logins(database, self.hub)
        self._port: int | None = None
        facade = ManagerFacade(self.hive, self.proposals, self.controls, database)
        self._mcp = mcp_listener(HiveTools(self.broker, facade))
        self._hooks = hook_listener(self.permissions)

    def _backend(self, evaluator: Evaluator) -> Backend:
        if self.config.backend is BackendKind.NIXOS:
            from hyperhive.containers.nixos import NixosBackend  # noqa: PLC0415  (dbus-fast is there on NixOS only)
            from hyperhive.containers.watch import ContainerWatch  # noqa: PLC0415

            watch = ContainerWatch(self.config.state_dir / "containers.json", self._crashed, self._is_agent)
            return NixosBackend(
                state_dir=self.config.state_dir, builder=default_builder(evaluator), watch=watch, spawn=self.spawn
            )
        return LocalBackend(
            state_dir=self.config.state_dir,
            runtime_dir=self.config.runtime_dir,
            claude=self.config.claude,
            drain=self.config.drain,
            on_crash=self._crashed,
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work in the background; the core waits for it, and cancels it, when it stops."""
        task = self._group.create_task(_logged(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def start(self) -> None:
        """Start the agents, go on with what was half-way, then let the operator in."""
        last, head = await self.database.read(audit.head)
        log.info("audit: %d entries, head %s", last, head or "none")  # what a later tampering must agree with
        await usage_limit.recall(self.database, self.pause)
        await _logged(self.terminals.recover())  # a full disk must not keep it from starting
        await self.backend.open()
        await self.hive.load(self.config.agents)
        await self.budgets.load()
        await self.proposals.resume()
        self.spawn(self._retention.run())
        self.spawn(self._expire())
        mode = 0o666 if self.config.operators else 0o600  # who may call is decided by the peer's uid, not by the mode
        await self._listen_for_browsers()
        await self._servers.listen(
            self.config.runtime_dir / "operator.sock", create_operator_app(self), identity=None, mode=mode
        )

    async def _listen_for_browsers(self) -> None:
        """Serve the dashboard, on loopback and, where the host has a reverse proxy for it, on the proxy's socket."""
        wanted = self.config.dashboard
        if not wanted.enable:
            return
        bound = bind_loopback(wanted.port)
        self._port = bound.getsockname()[1]
        config = WebConfig(self._port, frozenset(wanted.hosts))
        by_cookie = ByCookie(self.logins, cookie_name(self._port), self.operators.has)
        await self._servers.listen_on_loopback(bound, create_web_app(self, config, by_cookie, self.logins))
        if wanted.proxy_user is not None:
            by_proxy = ByProxy(wanted.proxy_header, uid_of(wanted.proxy_user))
            app = create_web_app(self, config, by_proxy, None)
            path = self.config.runtime_dir / "dashboard.sock"
            await self._servers.listen(path, app, identity=None, mode=0o666, websockets=True)

    def dashboard_link(self, actor: str) -> str:
        """An address that logs a browser in once as that actor (api.operator)."""
        if self._port is None:
            raise Unavailable("there is no dashboard: services.hyperhive.dashboard.enable is off")
        return f"http://127.0.0.1:{self._port}/#link={self.logins.link(actor.removeprefix('operator:'))}"

    async def stop(self) -> None:
        """Close the operator's socket, end the background work, drain the agents, close their sockets."""
        await self._servers.close(self.config.runtime_dir / "operator.sock")
        if self._port is not None:
            await self._servers.close(self._port)
        await self.terminals.close_all()
        for task in tuple(self._background):
            task.cancel()
        await self.backend.close()
        await self._mcp.close_all()
        await self._hooks.close_all()
        await self.controls.listener.close_all()
        await self._servers.close_all()
        await self._models.aclose()

    async def open(self, agent: str) -> None:
        """Listen on the sockets that the agent's container sees (containers.AgentSockets)."""
        directory = self.config.runtime_dir / "agents" / agent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = 0o600
        if (
            self.config.backend is BackendKind.NIXOS
        ):  # the container's users are others here; agents/ is the core's alone
            directory.chmod(0o755)
            mode = 0o666
        app, most = create_harness_app(self), MAX_CONNECTIONS
        await self._servers.listen(directory / "harness.sock", app, identity=agent, mode=mode, most=most)
        await self._servers.listen(directory / "model.sock", self._models, identity=agent, mode=mode)
        await self._mcp.listen(directory / "mcp.sock", agent, mode=mode)
        await self._hooks.listen(directory / "policy.sock", agent, mode=mode)
        await self.controls.listener.listen(directory / "control.sock", agent, mode=mode)

    async def close(self, agent: str) -> None:
        """Stop listening on the agent's sockets (containers.AgentSockets)."""
        directory = self.config.runtime_dir / "agents" / agent
        await self._servers.close(directory / "harness.sock")
        await self._servers.close(directory / "model.sock")
        await self._mcp.close(directory / "mcp.sock")
        await self._hooks.close(directory / "policy.sock")
        await self.controls.listener.close(directory / "control.sock")

    async def heartbeat(self, agent: str, generation: int, state: str, pid: int, trouble: str | None) -> None:
        """A harness says that it lives (api.harness.HarnessCore)."""
        before = self.heartbeats.last(agent)
        self.heartbeats.beat(agent, generation, state, trouble)
        if before is None or (before.activity, before.trouble) != (state, trouble):
            told = {"name": agent, "event": state, "generation": generation, "trouble": trouble}
            self.hub.publish("agent", told)

    async def status(self) -> dict[str, Any]:
        """The hive at a glance."""
        views = await self.hive.views()
        waiting = await self.proposals.find(None, (State.CHECKED,), 1000)
        return {
            "version": __version__,
            "backend": str(self.config.backend),
            "model_api": self.config.model_url,
            "state_dir": str(self.config.state_dir),
            "agents": len(views),
            "running": sum(view["state"] == "running" for view in views),
            "over_budget": sum(view["over_budget"] is not None for view in views),
            "trouble": [{"agent": view["name"], "trouble": view["trouble"]} for view in views if view["trouble"]],
            "proposals_waiting": len(waiting),
            "inbox_unread": await self.database.read(lambda c: messages.pending(c, OPERATOR)),
            "dead_letters": await self.database.read(parked.count),
            "paused": self.pause.view(),
        }

    async def _crashed(self, crash: Crash) -> None:
        await _logged(self.hive.crashed(crash))  # a full disk must not keep the backend from its work

    async def _is_agent(self, name: str) -> bool:
        return await self.database.read(lambda c: agents.exists(c, name))

    def _model_key(self) -> str | None:
        if self.config.key_file is not None:
            try:
                return self.config.key_file.read_text().strip()
            except OSError as error:
                log.error("the model API's key file %s: %s", self.config.key_file, error.strerror)
                return None
        return os.environ.get("ANTHROPIC_API_KEY")

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_EVERY)
            await _logged(self.broker.expire_questions())
            await _logged(self.budgets.refresh())


@asynccontextmanager
async def running_core(config: CoreConfig) -> AsyncIterator[Core]:
    """A started core for the time of the block. Raises Conflict if another core has the state directory."""
    for directory in (config.state_dir, config.runtime_dir):
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{directory} cannot be made: {error.strerror}; choose another directory") from error
    with _lock(config.state_dir / "core.lock"):
        database = await Database.open(config.state_dir / "hive.db")
        try:
            async with asyncio.TaskGroup() as group:
                core = Core(config, database, group)
                try:
                    await core.start()
                    yield core
                finally:
                    await core.stop()
        finally:
            await database.close()


async def main(config: CoreConfig) -> int:
    """Run the core until SIGTERM or SIGINT; returns the exit code."""
    _allow_many_files()
    collect_garbage_rarely()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with running_core(config) as core:
        log.info("the hive is up: %s", core.config.runtime_dir / "operator.sock")
        await stop.wait()
        log.info("stopping: running turns may end (at most %g s)", config.drain)
    return 0


async def _logged(work: Coroutine[Any, Any, object]) -> None:
    """An error in one piece of background work is logged; the others, and the core, go on."""
    try:
        await work
    except Exception:
        log.exception("background work")


def collect_garbage_rarely() -> None:
    """A request leaves next to no cycles behind: a search for them at Python's own rate takes a fifth of the CPU."""
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _allow_many_files() -> None:
    """Use all file descriptors that the host allows: each agent has four sockets with many connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _lock(path: Path) -> IO[str]:
    """Hold the state directory's lock until the file is closed. Raises Conflict naming the holder."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "?"
        file.close()
        raise Conflict(f"another core (pid {holder}) runs on {path.parent}; stop it or choose another") from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
