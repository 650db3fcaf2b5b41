"""The operator's API by its own description: schemathesis makes requests of it, good and bad, for a real core."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from core_rig import LACKING, SKIP_REASON, nix
from hypothesis import HealthCheck, Phase, given, settings
from web_rig import web

schemathesis: Any = pytest.importorskip("schemathesis")
checks: Any = pytest.importorskip("schemathesis.specs.openapi.checks")

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

EXAMPLES = 12
LEFT_OUT = {"/v1/events", "/v1/session", "/v1/sessions", "/v1/sessions/{id}"}
"""The stream does not end, and logging out would end the test's own session."""


NOT_HERE = [checks.ignored_auth, checks.positive_data_acceptance]
"""Without a session: test_api_web. And what fits a schema may still be refused, e.g. mail that is blank."""


@contextmanager
def core(root: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A running core in a thread: its address, and a session's headers."""
    started, ended = threading.Event(), threading.Event()
    told: list[tuple[str, dict[str, str]]] = []

    async def serve() -> None:
        async with web(root) as made:
            await made.hive.create("worker", nix=nix('bash.allow = [ "ls *" ];'))
            await made.hive.core.broker.send("worker", "operator", "hello")
            browser = await made.browser()
            session = {"Cookie": browser.cookie or "", "X-Hyperhive-Key": browser.key or ""}
            told.append((f"http://127.0.0.1:{made.port}", session))
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(30), "the core did not start"
        yield told[0]
    finally:
        ended.set()
        thread.join()


def test_no_request_gets_an_answer_that_is_not_described(tmp_path: Path) -> None:
    with core(tmp_path) as (url, session):
        headers = {**session, "Origin": url}
        schema = schemathesis.openapi.from_url(f"{url}/v1/openapi.json", headers=headers)
        tried = 0
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path not in LEFT_OUT:
                _try(operation, headers)
                tried += 1
        assert tried > 30


def _try(operation: Any, headers: dict[str, str]) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def each(case: Any) -> None:
        case.call_and_validate(headers=headers, excluded_checks=NOT_HERE)

    each()
