"""Every call of the venue's OpenAPI document, with values inside and outside its schemas, by every kind of caller.

A call answers only what it documents: status, content type, shape, and every error in the flat body with a code of that
call. Whoever has the wrong credential gets a 401 or 403 and nothing else, whatever was sent. Values inside the schema
are never a 400, values outside of it never succeed.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks as openapi_checks

from tests.fuzz.lab import CREDENTIALS, Lab

load_all_checks()

POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
CHECKS = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
SCHEMES = {"public": set(), "agent": {"agentKey"}, "owner": {"ownerSession"}, "admin": {"adminToken"}}
ENDLESS = "open_event_stream"
"""An answer that does not end has a fuzzer of its own, in test_event_streams."""
SLOW = {"create_account", "create_account_for_model", "create_session"}
"""Calls that may hash a password, about a tenth of a second each."""
DECLINES = {502: {"REFERENCE_UNAVAILABLE"}, 503: {"EXCHANGE_FROZEN", "FEATURE_DISABLED"}}
"""The only 5xx that a caller may see of a venue in good health."""


@pytest.fixture(scope="module")
def schema(lab: Lab) -> Any:
    return schemathesis.openapi.from_url(f"{lab.url}/openapi.json")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


class Door:
    """Sends cases as one kind of caller and judges the answers."""

    def __init__(self, lab: Lab, session: requests.Session, who: str) -> None:
        self.lab, self.session, self.who = lab, session, who
        self.real = lab.real()
        self.headers = lab.callers[who].headers
        self.statuses: Counter[int] = Counter()

    def send(self, case: Case, mode: GenerationMode) -> None:
        self.session.cookies.clear()  # the cookie of a session would be a second credential
        response = case.call(session=self.session, headers=self.headers, timeout=20)
        self.statuses[response.status_code] += 1
        case.validate_response(
            response, checks=CHECKS if mode is POSITIVE else [*CHECKS, openapi_checks.negative_data_rejection]
        )
        shown = (self.who, case.method, case.formatted_path, case.query, case.body, response.status_code, response.text)
        definition = case.operation.definition.raw
        error = self._flat_error(response, definition, shown) if response.status_code >= 400 else None
        if not self.may(case.operation):
            assert response.status_code in (401, 403), shown
        elif mode is POSITIVE:
            assert error not in ("BAD_REQUEST", "BODY_TOO_LARGE"), shown

    def may(self, operation: Any) -> bool:
        """Whether the document says that this caller's credential is good for a call."""
        options = [set(option) for option in operation.definition.raw["security"]] or [set()]
        return any(option <= SCHEMES[self.who] for option in options)

    @staticmethod
    def _flat_error(response: Any, definition: dict[str, Any], shown: object) -> str:
        body = response.json()
        assert {"code", "message", "request_id"} <= set(body) <= {"code", "message", "request_id", "details"}, shown
        assert response.headers["x-request-id"] == [body["request_id"]], shown
        content = definition["responses"][str(response.status_code)]["content"]["application/json"]
        assert body["code"] in content["examples"], shown
        assert response.status_code < 500 or body["code"] in DECLINES.get(response.status_code, ()), shown
        return body["code"]

    def aim(self, case: Case, pick: int) -> Case:
        """The case with names that exist, where it has names; `pick` says which, 0 leaves it alone."""
        case.body = _whole(case.body)
        if self.who == "owner" and {"agentKey", "ownerSession"} <= _schemes(case.operation):
            case.query = {**(case.query or {}), "agent_id": self.value("agent_id", pick)}
        if pick:
            case.path_parameters = {**(case.path_parameters or {}), **self.path(case.operation, pick)}
            if isinstance(case.body, dict):
                case.body = copy.deepcopy(case.body)
                for part in (case.body, *_dicts(case.body.get("orders"))):
                    if "market_id" in part:
                        part["market_id"] = self.value("market_id", pick)
                if "from" in case.body and "to" in case.body:
                    ends = [self.lab.agent.id, "master", self.lab.other.id]
                    case.body |= {"from": ends[pick % 3], "to": ends[(pick + 1) % 3]}
        return case

    def path(self, operation: Any, pick: int) -> dict[str, str]:
        return {parameter.name: self.value(parameter.name, pick) for parameter in operation.path_parameters}

    def value(self, name: str, pick: int) -> str:
        return self.real[name][pick % len(self.real[name])]


def _schemes(operation: Any) -> set[str]:
    return {scheme for option in operation.definition.raw["security"] for scheme in option}


def _whole(value: Any) -> Any:
    """The schema language takes 5.0 for an integer; the contract does not."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    return [_whole(part) for part in value] if isinstance(value, list) else value


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def examples(request: pytest.FixtureRequest, ordinary: int, long: int) -> int:
    return int(os.environ.get("RAETH_FUZZ_EXAMPLES", long if request.config.getoption("--long") else ordinary))


def fuzz(door: Door, operation: Any, mode: GenerationMode, count: int) -> None:
    if not door.may(operation) or operation.definition.raw["operationId"] in SLOW:
        count = max(1, count // 4)
    cases = operation.as_strategy(generation_mode=mode)
    if mode is NEGATIVE and operation.path_parameters:
        cases = operation.as_strategy(generation_mode=mode, path_parameters=door.path(operation, 0))

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, pick=st.integers(0, 3))
    def run(case: Case, pick: int) -> None:
        door.send(door.aim(case, pick) if mode is POSITIVE else case, mode)

    run()


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("who", CREDENTIALS)
def test_every_call_answers_as_documented(
    request: pytest.FixtureRequest, lab: Lab, schema: Any, session: requests.Session, who: str
) -> None:
    door = Door(lab, session, who)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 50
    # The one call that takes a credential away comes last.
    operations.sort(key=lambda operation: operation.definition.raw["operationId"] == "end_session")
    failures: list[Exception] = []
    for operation in operations:
        if operation.definition.raw["operationId"] == ENDLESS:
            continue
        for mode in (POSITIVE, NEGATIVE):
            if mode is POSITIVE or operation.body or operation.query:  # any text is a name in a path
                try:
                    fuzz(door, operation, mode, examples(request, 4, 100))
                except Unsatisfiable:
                    assert mode is NEGATIVE, f"no value fits {operation.label}"
                except Exception as failure:
                    failures.append(failure)
    print(f"{who}: {len(operations)} operations, {door.statuses.total()} cases, {dict(door.statuses)}")
    if failures:
        raise ExceptionGroup(f"{len(failures)} of the calls answered what they do not document", failures)
    assert lab.faults() == []
    if who != "admin":
        lab.still_serves()
