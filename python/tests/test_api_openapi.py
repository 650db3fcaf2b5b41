"""The API's description: it names every operation, and what a real core answers is as it says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from core_rig import LACKING, SKIP_REASON, nix, until
from jsonschema import Draft202012Validator
from starlette.routing import Route
from web_rig import Browser, Web, web

from hyperhive.api.openapi import document
from hyperhive.api.operator import OPERATIONS, operator_routes
from hyperhive.api.operator.schemas import SCHEMAS
from hyperhive.store import turns

DOCUMENT = document(OPERATIONS)


def test_every_operation_is_described_once_and_answers_something_that_is() -> None:
    nobody: Any = None
    routes = [route for route in operator_routes(nobody, nobody) if isinstance(route, Route)]
    served = {(route.path, method) for route in routes for method in route.methods or ()}
    described = {(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods}
    session = {("/v1/session", method) for method in ("GET", "POST", "DELETE")}
    assert {each for each in served if each[1] != "HEAD"} == (described - session) | {("/v1/openapi.json", "GET")}
    assert {operation.answers for operation in OPERATIONS} <= set(SCHEMAS)
    named = [each["operationId"] for methods in DOCUMENT["paths"].values() for each in methods.values()]
    assert len(named) == len(set(named))
    assert all(each["summary"].endswith(".") for methods in DOCUMENT["paths"].values() for each in methods.values())


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    for found in _references(SCHEMAS[name]):
        assert found.split("/")[3] in SCHEMAS


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) and node["$ref"].startswith("#/components") else []
        return own + [found for value in node.values() for found in _references(value)]
    return [found for value in node for found in _references(value)] if isinstance(node, list) else []


def _fits(name: str, value: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(value)


@pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)
def test_what_a_core_answers_is_what_is_described(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            await _fill(made)
            browser = await made.browser()
            answered = set()
            for operation in sorted(OPERATIONS, key=lambda each: each.method == "DELETE"):
                path = operation.path.replace("{name}", "worker").replace("{id}", "1")
                answer = await browser.ask(operation.method, path, BODIES.get((operation.method, operation.path)))
                if answer.status == 200:
                    _fits(operation.answers, answer.json)
                    answered.add(operation.answers)
                else:
                    assert 400 <= answer.status < 500, (path, answer.body)
                    _fits("Error", answer.json)
                if operation.path.endswith(("/restart", "/start", "/stop", "/model", "/budget", "/rollback")):
                    await _running(made, browser)
            # nothing answers Link here: the way to the dashboard is on operator.sock alone
            assert answered == {operation.answers for operation in OPERATIONS}
            browser = await made.browser()  # the operations have ended the session
            _fits("Session", (await browser.ask("GET", "/v1/session")).json)
            assert (await browser.ask("GET", "/v1/openapi.json")).json == DOCUMENT

    asyncio.run(run())


BODIES: dict[tuple[str, str], object] = {
    ("POST", "/v1/agents"): {"name": "another"},
    ("POST", "/v1/agents/{name}/explain"): {"command": "ls | wc -l"},
    ("PUT", "/v1/agents/{name}/model"): {"model": "sonnet"},
    ("PUT", "/v1/agents/{name}/budget"): {"tokens_per_day": 1000, "cost_per_day": 0.5},
    ("POST", "/v1/proposals"): {"agent": "worker", "commit": "abcdef0", "reason": "why not"},
    ("POST", "/v1/proposals/{id}/deny"): {"reason": "no"},
    ("POST", "/v1/proposals/{id}/approve"): {"fingerprint": "x"},
    ("POST", "/v1/inbox/{id}/reply"): {"body": "yes"},
    ("POST", "/v1/messages"): {"to": "worker", "body": "hello"},
    **{("POST", f"/v1/agents/{{name}}/{verb}"): {} for verb in ("start", "stop", "restart", "rollback")},
}


async def _fill(made: Web) -> None:
    """One of everything: an agent with a turn, a proposal, mail to the operator that was given up."""
    hive, database = made.hive, made.hive.core.database
    await hive.create("worker", nix=nix('bash.allow = [ "ls *" "wc *" ];'))
    await hive.core.broker.send("worker", "operator", "hello")
    await hive.propose("worker", nix('bash.allow = [ "ls *" "wc *" "git *" ];'))

    def turn(connection: Any) -> None:
        number = turns.begin(connection, agent="worker", generation=1, model="haiku", session_id="s", message_ids=[1])
        turns.add_events(connection, number, ['{"type": "system", "subtype": "init"}'])
        turns.end(connection, number, outcome="completed", detail="", usage={"output_tokens": 1}, cost_usd=0.1)

    await database.write(turn)
    await database.write(lambda c: c.execute("UPDATE messages SET dead_at = 1 WHERE id = 1").rowcount)


async def _running(made: Web, browser: Browser) -> None:
    await browser.ask("POST", "/v1/agents/worker/start", {})
    await until(lambda: _listens(made))


async def _listens(made: Web) -> bool:
    return "worker" in made.hive.core.controls._harnesses
