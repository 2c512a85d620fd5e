"""The OpenAPI document as plain text for models: every call with its fields, types, bounds and examples.

Knows only the document; what it does not say is not said here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

METHODS: Final = ("get", "post", "put", "patch", "delete")
EXAMPLE_MAX: Final = 1_500
"""Characters of an example; longer ones are left out, the schema says the same."""

_SAFE_INT: Final = 2**53 - 1


def calls(document: Schema) -> list[str]:
    """A chapter a tag, a section a call, in the document's order."""
    lines: list[str] = []
    for tag in document["tags"]:
        sections = [
            _call(method, path, operations[method])
            for path, operations in document["paths"].items()
            for method in METHODS
            if tag["name"] in operations.get(method, {}).get("tags", ())
        ]
        if sections:
            lines += [f"## Calls: {tag['name']}", "", tag["description"], ""]
            lines += [line for section in sections for line in section]
    return lines


def schemas(document: Schema) -> list[str]:
    """Every named schema with its fields; requests and answers of the calls point here."""
    lines = ["## Schemas", "", "A field marked `?` may be left out; `null` is the same as absent in requests.", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        about = " ".join(schema.get("description", "").split())
        lines += [f"### {name}", *([about] if about else []), *_fields(schema), ""]
    return lines


def _call(method: str, path: str, operation: Schema) -> Iterator[str]:
    yield f"### {method.upper()} {path}"
    about = " ".join(operation.get("description", "").split())
    who = f"`{operation['operationId']}` ({operation.get('x-access', 'public')})"
    yield f"{who}: {operation['summary']}. {about}".rstrip()
    for parameter in operation.get("parameters", ()):
        schema = parameter.get("schema", {})
        told = parameter.get("description") or schema.get("description") or ""
        default = f" Default {schema['default']}." if schema.get("default") is not None else ""
        need = "" if parameter.get("required") else "?"
        yield f"- {parameter['in']} `{parameter['name']}`{need} {kind(schema)}. {told}{default}".rstrip()
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        need = "" if operation["requestBody"].get("required") else " (optional)"
        yield f"- body{need}: {kind(body.get('schema', {}))}"
        yield from _examples("send", body)
    yield from _answers(operation.get("responses", {}))
    yield ""


def _answers(responses: Schema) -> Iterator[str]:
    failures: list[str] = []
    for status, response in sorted(responses.items()):
        if status >= "400":
            failures += response.get("description", "").split(", ")
            continue
        for media, content in response.get("content", {}).items():
            told = kind(content.get("schema", {})) if media == "application/json" else media
            yield f"- answer {status}: {told}"
            examples = content.get("examples", {})
            declines = [name for name in examples if name.isupper()]
            if declines:
                yield f"- may be declined (200, REJECTED): {', '.join(declines)}"
            good = {name: value for name, value in examples.items() if name not in declines}
            yield from _examples("get", {"examples": dict(list(good.items())[:1])})
    if failures:
        yield f"- errors: {', '.join(failures)}"


def _examples(what: str, content: Schema) -> Iterator[str]:
    for example in content.get("examples", {}).values():
        text = json.dumps(example.get("value"), ensure_ascii=False, separators=(",", ":"))
        if len(text) <= EXAMPLE_MAX:
            yield f"- {what} `{text}`"


def _fields(schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    for name, about in schema.get("properties", {}).items():
        need = "" if name in required else "?"
        told = " ".join(about.get("description", "").split())
        default = about.get("default")
        said = f" Default {json.dumps(default)}." if default is not None else ""
        yield f"- `{name}`{need} {kind(about)}. {told}{said}".rstrip()
    if not schema.get("properties") and (schema.get("enum") or schema.get("type") != "object"):
        yield f"- {kind(schema)}"


def kind(schema: Schema) -> str:
    """A type with its bounds in a few words: `integer 1-60000`, `BUY | SELL`, `list of OrderView`, `string or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    for words in ("anyOf", "oneOf"):
        if words in schema:
            return " or ".join(kind(option) for option in schema[words])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}{_range(schema.get('minItems'), schema.get('maxItems'))}"
    if schema.get("type") in ("integer", "number"):
        return f"{schema['type']}{_range(schema.get('minimum'), schema.get('maximum'))}"
    if schema.get("type") == "string":
        return _string(schema)
    return str(schema.get("type", "any"))


def _string(schema: Schema) -> str:
    if "pattern" in schema:
        return f"string matching {schema['pattern']}"
    if "format" in schema:
        return str(schema["format"])
    return f"string{_range(schema.get('minLength'), schema.get('maxLength'), ' of ')}"


def _range(low: float | None, high: float | None, word: str = " ") -> str:
    low = None if low is None or low <= -_SAFE_INT else int(low)
    high = None if high is None or high >= _SAFE_INT else int(high)
    if low is not None and high is not None:
        return f"{word}{low}" if low == high else f"{word}{low}-{high}"
    if low is not None:
        return f"{word}>= {low}"
    return "" if high is None else f"{word}<= {high}"
