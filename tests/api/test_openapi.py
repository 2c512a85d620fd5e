"""The document is fit for a code generator: names, examples, errors, and nothing the framework made up."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from raeth.api.app import bind
from raeth.api.docs_page import render
from raeth.api.openapi import ErrorBody
from raeth.errors import CATALOGUE, Code
from tests.api.harness import Desk


@pytest.fixture
async def document(desk: Desk) -> dict[str, Any]:
    return (await desk.http.get("/openapi.json")).json()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, op) for path, methods in document["paths"].items() for method, op in methods.items()]


async def test_every_call_has_a_stable_name_and_one_line(document: dict[str, Any]) -> None:
    names = [op["operationId"] for _, _, op in operations(document)]
    assert len(names) == len(set(names)) >= 40
    for _, _, operation in operations(document):
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", operation["operationId"])
        assert operation["summary"] and "\n" not in operation["summary"] and len(operation["summary"]) < 90
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}
    assert {"place_order", "create_account", "freeze_venue", "get_health"} <= set(names)


async def test_schema_names_are_plain(document: dict[str, Any]) -> None:
    names = set(document["components"]["schemas"])
    assert not {"HTTPValidationError", "ValidationError"} & names
    assert not [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z]+", name)]
    refs = set(re.findall(r"#/components/schemas/([^\"']+)", str(document)))
    assert refs <= names


async def test_every_error_is_documented_with_the_flat_body_and_an_example_a_code(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        errors = {status: r for status, r in operation["responses"].items() if int(status) >= 400}
        assert {"500", "503"} <= set(errors), (path, method)
        for status, response in errors.items():
            content = response["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
            for code, example in content["examples"].items():
                assert status in CATALOGUE[Code(code)].http
                assert ErrorBody.model_validate(example["value"]).code == code


async def test_order_entry_shows_every_decline(document: dict[str, Any]) -> None:
    content = document["paths"]["/api/v1/orders"]["post"]["responses"]["200"]["content"]["application/json"]
    shown = {name for name in content["examples"] if name in Code.__members__}
    assert len(shown) >= 15
    for name in shown:
        value = content["examples"][name]["value"]
        assert (value["status"], value["reject_reason"], value["fills"]) == ("REJECTED", name, [])
        assert value["reject_details"]["retryable"] is CATALOGUE[Code(name)].retryable
        assert value["cancel_reason"] is None and "cancel_reason" in value, "examples keep their nulls"


async def test_examples_are_what_the_calls_take_and_answer(desk: Desk, document: dict[str, Any]) -> None:
    for route in bind(desk.venue):
        if not route.declared.in_schema:
            continue
        operation = document["paths"][route.path_format][route.declared.method.lower()]
        response = operation["responses"][str(route.declared.status_code)]
        for example in response.get("content", {}).get("application/json", {}).get("examples", {}).values():
            TypeAdapter(route.response_model).validate_python(example["value"])
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in body.get("examples", {}).values():
            assert route.body_field is not None
            TypeAdapter(route.body_field.field_info.annotation).validate_python(example["value"], strict=False)


async def test_security_follows_the_access_class(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"agentKey", "ownerSession", "ownerCookie", "adminToken"}
    for path, _, operation in operations(document):
        schemes = {name for option in operation["security"] for name in option}
        assert (schemes == {"adminToken"}) == path.startswith("/api/v1/admin/")


async def test_the_page_needs_no_other_host_and_no_script(desk: Desk, document: dict[str, Any]) -> None:
    response = await desk.http.get("/docs")
    html = response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "<script" not in html and not re.search(r"(src|href)=['\"]?https?:", html)
    assert all(operation["operationId"] in html for _, _, operation in operations(document))
    assert render({"info": {"title": "<x>", "version": "1"}, "paths": {}}).count("<x>") == 0
