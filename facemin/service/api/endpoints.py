"""The API in words: every endpoint, what it takes, and who may call it, as the application itself has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute

from facemin.service.api.dependencies import AccessRule
from facemin.service.sessions import REACHABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter, FastAPI

_WHERE = {"here": "in the collection", "everywhere": "everywhere", "anywhere": "anywhere"}


def describe(app: FastAPI, routers: Sequence[APIRouter]) -> list[dict[str, Any]]:
    """Groups of endpoints, each with its name and its endpoints in the order of their paths.

    Of each endpoint: method, path, summary, text, who, parameters, fields (of its body) and the status of success.
    """
    document = app.openapi()
    rules = _rules(routers)
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, by_method in sorted(document["paths"].items()):
        for method, said in by_method.items():
            summary, _, more = said.get("description", "").partition("\n\n")
            content = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            parameters = [
                {
                    "name": parameter["name"],
                    "type": parameter["in"],
                    "needed": parameter.get("required", False),
                    "text": parameter.get("description", parameter.get("schema", {}).get("description", "")),
                }
                for parameter in said.get("parameters", [])
            ]
            entry = {
                "method": method.upper(),
                "path": path,
                "anchor": f"{method}{path}".replace("/", "-").replace("{", "").replace("}", ""),
                "summary": summary.replace("\n", " "),
                "text": more,
                "who": rules.get((method.upper(), path), "open"),
                "parameters": parameters,
                "fields": _fields(document, content) if content else [],
                "status": min(said["responses"]),
            }
            groups.setdefault(said["tags"][0], []).append(entry)
    return [{"name": name, "endpoints": entries} for name, entries in groups.items()]


def _rules(routers: Sequence[APIRouter]) -> dict[tuple[str, str], str]:
    """Who may, in words, by method and path."""
    found: dict[tuple[str, str], str] = {}
    for route in (each for router in routers for each in router.routes if isinstance(each, APIRoute)):
        for dependency in route.dependant.dependencies:
            if isinstance(dependency.call, AccessRule):
                rule = dependency.call
                scopes = f"{' or '.join(rule.scopes)} {_WHERE[rule.where]}" if rule.scopes else "any token"
                for method in route.methods:
                    place = (method, route.path)
                    sessions = " or ".join(scope for scope, places in REACHABLE.items() if place in places)
                    found[place] = scopes + (f"; a session of scope {sessions}" if sessions else "")
    return found


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    whole = _resolved(document, schema)
    return [
        {
            "name": name,
            "type": _type(document, value),
            "needed": name in whole.get("required", []),
            "text": value.get("description", ""),
        }
        for name, value in whole.get("properties", {}).items()
    ]


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


def _type(document: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(document, each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(document, schema.get('items', {}))}"
    return str(schema.get("type", "any"))
