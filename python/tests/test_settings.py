"""Settings: validated against the schema, frozen, and the same after a round trip."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings_samples import sample, sample_json

from hyperhive.errors import BadInput, Rejected
from hyperhive.settings import RESERVED_NAMES, Role, Settings, check_name, schema, validate


def test_the_schema_is_a_valid_draft_2020_12_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_settings_come_back_as_they_were() -> None:
    value = sample_json(role="manager", fallbackModel="opus", packages=["python3Packages.numpy"], prompt="ü\n")
    assert validate(value).to_json() == value
    assert Settings.from_json(value) == validate(value)


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample().model = "x"  # type: ignore[misc]  # that it cannot be set is the point


def test_the_schema_and_the_dataclass_have_the_same_fields() -> None:
    def names(properties: dict[str, Any], kind: type) -> None:
        fields = {field.name: field.type for field in dataclasses.fields(kind)}
        assert set(properties) == set(fields), kind
        samples = sample()
        for name, value in properties.items():
            if "properties" in value:
                names(value["properties"], type(getattr(samples, name)))

    properties = {name: value for name, value in schema()["properties"].items() if name != "schema"}
    names(properties, Settings)


def test_every_object_of_the_schema_is_closed_and_complete() -> None:
    def walk(value: dict[str, Any]) -> None:
        assert value["additionalProperties"] is False
        assert set(value["required"]) == set(value["properties"])
        for inner in value["properties"].values():
            if inner.get("type") == "object":
                walk(inner)

    walk(schema())


WRONG: list[tuple[list[str | int], Any, str]] = [
    (["model"], 3, "settings.model: 3 is not of type 'string'"),
    (["model"], "", "settings.model: "),
    (["model"], "x y", "settings.model: "),
    (["model"], "haiku\n", "settings.model: "),
    (["model"], "--help", "settings.model: "),
    (["fallbackModel"], 3, "settings.fallbackModel: "),
    (["name"], "Worker", "settings.name: "),
    (["name"], "worker\n", "settings.name: "),
    (["role"], "boss", "settings.role: 'boss' is not one of ['agent', 'manager']"),
    (["schema"], 2, "settings.schema: 1 was expected"),
    (["bash", "allow"], "git *", "settings.bash.allow: "),
    (["bash", "allow"], ["a(b)"], "settings.bash.allow[0]: "),
    (["bash", "allow"], ["ok", "a\nb"], "settings.bash.allow[1]: "),
    (["bash", "allow"], ["ls\n"], "settings.bash.allow[0]: "),
    (["bash", "deny"], [""], "settings.bash.deny[0]: "),
    (["tools", "allow"], ["read"], "settings.tools.allow[0]: "),
    (["tools", "allow"], ["Read(x)"], "settings.tools.allow[0]: "),
    (["tools", "allow"], ["Read\n"], "settings.tools.allow[0]: "),
    (["prompt"], "x" * 65537, "settings.prompt: "),
    (["git", "name"], "a\nb", "settings.git.name: "),
    (["git", "email"], "nobody", "settings.git.email: "),
    (["git", "email"], "a@b\n", "settings.git.email: "),
    (["packages"], ["rip grep"], "settings.packages[0]: "),
    (["packages"], ["a;b"], "settings.packages[0]: "),
    (["notes", "maxBytes"], 0, "settings.notes.maxBytes: 0 is less than the minimum of 1024"),
    (["notes", "enable"], "yes", "settings.notes.enable: "),
    (["session", "maxTurns"], 0, "settings.session.maxTurns: 0 is less than"),
    (["session", "maxTurns"], 1.5, "settings.session.maxTurns: "),
    (["session", "maxTurns"], 80.0, "settings.session.maxTurns: 80.0 is not of type 'integer'"),
    (["prompt"], "\ud800", "settings.prompt: '\\ud800' is not of type 'string'"),
    (["bash", "allow"], ["a"] * 1001, "settings.bash.allow: it has 1001 items; at most 1000 are allowed"),
    (["packages"], [1] * 100_000, "settings.packages: it has 100000 items; at most 1000 are allowed"),
    (["session", "turnTimeout"], True, "settings.session.turnTimeout: "),
    (["network", "allow"], ["example.org"], "settings.network.allow[0]: "),
    (["network", "allow"], ["example.org:443\n"], "settings.network.allow[0]: "),
    (["surprise"], 1, "settings: Additional properties are not allowed ('surprise' was unexpected)"),
    (["session", "surprise"], 1, "settings.session: Additional properties"),
]


@pytest.mark.parametrize(("path", "value", "expected"), WRONG)
def test_a_wrong_value_is_rejected_by_its_path(path: list[str | int], value: Any, expected: str) -> None:
    whole: Any = copy.deepcopy(sample_json())
    holder = whole
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    with pytest.raises(Rejected) as caught:
        validate(whole)
    assert str(caught.value).startswith(expected), str(caught.value)


@pytest.mark.parametrize("name", sorted(sample_json()))
def test_a_missing_key_is_rejected(name: str) -> None:
    value = sample_json()
    del value[name]
    with pytest.raises(Rejected, match=f"'{name}' is a required property"):
        validate(value)


@pytest.mark.parametrize("value", [None, [], 3, "x", {}])
def test_what_is_no_settings_object_is_rejected(value: object) -> None:
    with pytest.raises(Rejected):
        validate(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(sample_json())), JSON)
def test_any_value_is_either_rejected_or_kept(name: str, value: object) -> None:
    whole = {**sample_json(), name: value}
    try:
        settings = validate(whole)
    except Rejected:
        return
    assert settings.to_json() == whole


def test_a_name_that_an_agent_may_have_is_returned() -> None:
    assert [check_name(name) for name in ("a", "w-1", "a" * 31)] == ["a", "w-1", "a" * 31]


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a_b", "a" * 32, "a\n", "../x", "ä", *sorted(RESERVED_NAMES)])
def test_a_name_that_no_agent_may_have_is_bad_input(name: str) -> None:
    with pytest.raises(BadInput):
        check_name(name)


def test_roles_are_the_schema_s() -> None:
    assert [str(role) for role in Role] == schema()["properties"]["role"]["enum"]
