"""Service errors: HTTP status and a machine-readable code."""

from __future__ import annotations

import json


class ServiceError(Exception):
    """A refusal or a failure that the caller is told of.

    Args:
        status: of the HTTP answer.
        code: a stable word, say "plain_face".
        message: names what was expected and what came; never an upload, a template or a secret.
        retry_after: seconds after which trying again makes sense; None where it does not.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after


def problem_text(error: ServiceError, request_id: str) -> str:
    """A refusal as JSON, as the `Problem` of the API."""
    return json.dumps({"code": error.code, "message": error.message, "request_id": request_id})


def bad_input(message: str, *, code: str = "invalid_upload") -> ServiceError:
    """422: the request was understood, but what it holds cannot be used."""
    return ServiceError(422, code, message)


def not_found(what: str, name: str) -> ServiceError:
    """404: there is no such thing, or none that this caller may know of."""
    return ServiceError(404, f"{what}_not_found", f"{what}: expected one that exists, got {name!r:.80}")


def conflict(code: str, message: str) -> ServiceError:
    """409: the request does not fit what is there."""
    return ServiceError(409, code, message)
