"""`GET /docs`: the OpenAPI document as one page that needs no script and no other host. Knows only the document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:15px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:var(--soft);padding:.7rem;overflow:auto;border-radius:6px}
details{border:1px solid var(--line);border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
details details{border-style:dashed}summary{cursor:pointer}
.m{display:inline-block;min-width:4.2rem;font-weight:600}.a{opacity:.7;font-size:.85em;float:right}
table{border-collapse:collapse;width:100%}td,th{border-top:1px solid var(--line);padding:.25rem .5rem;text-align:left;
vertical-align:top}
"""

METHODS: Final = ("get", "post", "put", "patch", "delete")


def render(document: Mapping[str, Any]) -> str:
    """The whole page."""
    info = document["info"]
    schemas = document.get("components", {}).get("schemas", {})
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style>",
        f"<h1>{escape(info['title'])}</h1><p>{escape(info.get('summary', ''))} · version {escape(info['version'])} · ",
        "<a href=/openapi.json>openapi.json</a></p>",
        f"<pre>{escape(info.get('description', ''))}</pre>",
    ]
    for tag in document.get("tags", []):
        calls = list(_calls(document, tag["name"]))
        if calls:
            parts.append(f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>")
            parts += [_call(method, path, operation, schemas) for method, path, operation in calls]
    parts.append("<h2>schemas</h2>")
    parts += [_schema(name, schema) for name, schema in sorted(schemas.items())]
    return "".join(parts)


def _calls(document: Mapping[str, Any], tag: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations and tag in operations[method].get("tags", []):
                yield method, path, operations[method]


def _call(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    parts = [
        f"<details id={escape(operation['operationId'])}><summary><span class=m>{method.upper()}</span>",
        f"<code>{escape(path)}</code> {escape(operation.get('summary', ''))}",
        f"<span class=a>{escape(operation.get('x-access', ''))}</span></summary>",
        f"<p>{escape(operation.get('description', ''))}</p><p><code>{escape(operation['operationId'])}</code></p>",
    ]
    if parameters := operation.get("parameters"):
        rows = "".join(
            f"<tr><td><code>{escape(p['name'])}</code><td>{p['in']}{', required' if p.get('required') else ''}"
            f"<td><code>{escape(_kind(p.get('schema', {})))}</code><td>{escape(p.get('description', ''))}"
            for p in parameters
        )
        parts.append(f"<table>{rows}</table>")
    if body := operation.get("requestBody"):
        parts.append(_content("Request", body, schemas))
    for status, response in sorted(operation.get("responses", {}).items()):
        parts.append(_content(f"{status} {response.get('description', '')}", response, schemas))
    return "".join(parts) + "</details>"


def _content(title: str, holder: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    parts = [f"<details><summary>{escape(title)}</summary>"]
    for media_type, content in holder.get("content", {}).items():
        kind = _kind(content.get("schema", {}))
        link = f"<a href='#{escape(kind)}'>{escape(kind)}</a>" if kind in schemas else escape(kind)
        parts.append(f"<p><code>{escape(media_type)}</code> {link}</p>")
        for name, example in content.get("examples", {}).items():
            text = json.dumps(example.get("value"), indent=2, ensure_ascii=False)
            parts.append(f"<details><summary><code>{escape(name)}</code> {escape(example.get('summary', ''))}")
            parts.append(f"</summary><pre>{escape(text)}</pre></details>")
    return "".join(parts) + "</details>"


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{'' if field in required else ' (optional)'}"
        f"<td><code>{escape(_kind(about))}</code><td>{escape(about.get('description', ''))}"
        for field, about in schema.get("properties", {}).items()
    )
    return (
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code> "
        f"{escape(schema.get('description', ''))}</summary><table>{rows}</table></details>"
    )


def _kind(schema: Mapping[str, Any]) -> str:
    """A type in a few words: `integer`, `OrderView`, `array of string`, `string or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    for words in ("anyOf", "oneOf"):
        if words in schema:
            return " or ".join(_kind(option) for option in schema[words])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", "any"))
