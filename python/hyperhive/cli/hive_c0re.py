"""The entry point of `hive-c0re`, the core. A few options, and the hidden group `debug` for operations."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from hyperhive import __version__
from hyperhive.cli.guard import guarded
from hyperhive.config import BackendKind, CoreConfig
from hyperhive.errors import BadInput

MODEL_API = "https://api.anthropic.com"


def main(arguments: list[str] | None = None) -> int:
    """Run the core until SIGTERM (or a debug command) and return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    return guarded(lambda: _execute(words))


def _execute(words: list[str]) -> None:
    if words[:1] == ["debug"]:
        from hyperhive.cli.core_debug import execute  # noqa: PLC0415

        execute(words[1:])
        return
    options = _parser().parse_args(words)
    config = configuration(options)
    logging.basicConfig(level=options.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    sys.exit(_run(config))


def _run(config: CoreConfig) -> int:
    import uvloop  # noqa: PLC0415  (--help needs neither)

    from hyperhive import core  # noqa: PLC0415

    return uvloop.run(core.main(config))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hive-c0re", description="The core of a hive: broker, proposals, agents' lifecycle.", allow_abbrev=False
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="core.json; instead of the options below")
    parser.add_argument("--state", type=Path, metavar="DIR", help="what lasts: database, agents, applied flakes")
    parser.add_argument("--runtime", type=Path, metavar="DIR", help="the sockets (default: run in the state directory)")
    parser.add_argument("--backend", choices=list(map(str, BackendKind)), default="local", help="default: local")
    parser.add_argument("--model-api", metavar="URL", help=f"the Messages API (default: {MODEL_API})")
    parser.add_argument("--model-key-file", type=Path, metavar="FILE", help="its key (default: $ANTHROPIC_API_KEY)")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    parser.add_argument("--version", action="version", version=f"hive-c0re {__version__}")
    return parser


def configuration(options: argparse.Namespace) -> CoreConfig:
    """The configuration that the options mean. Raises BadInput if they contradict each other."""
    single = (options.state, options.runtime, options.model_api, options.model_key_file)
    if options.config is not None:
        if any(value is not None for value in single):
            raise BadInput("give --config or the single options, not both")
        return CoreConfig.load(options.config)
    if options.state is None:
        raise BadInput("there is nothing to run; give --config FILE or --state DIR")
    state = options.state.resolve()
    return CoreConfig(
        state_dir=state,
        runtime_dir=options.runtime.resolve() if options.runtime else state / "run",
        backend=BackendKind(options.backend),
        model_url=options.model_api or MODEL_API,
        key_file=options.model_key_file.resolve() if options.model_key_file else None,
    )
