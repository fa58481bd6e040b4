"""Errors become RFC 9457 problem documents: the one table from class to status. Knows HTTP, and no cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Scope

from leafloop import errors, log, metrics, tus

_log = log.get(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[errors.LeafloopError], int] = {
    errors.LeafloopError: 500,
    errors.PhotoError: 422,
    errors.EmptyUpload: 422,
    errors.NotAnImage: 415,
    errors.UnsupportedType: 415,
    errors.Undecodable: 422,
    errors.TooManyPixels: 413,
    errors.TooManyBytes: 413,
    errors.TooSmall: 422,
    errors.BadShape: 422,
    errors.BundleRejected: 409,
    errors.DatasetRejected: 422,
    errors.SnapshotRejected: 409,
    errors.TrainingFailed: 500,
    errors.TaxonomyInvalid: 500,
    errors.ConfigurationInvalid: 500,
    errors.AccessError: 403,
    errors.KeyMissing: 401,
    errors.KeyInvalid: 401,
    errors.RoleTooLow: 403,
    errors.CrossSiteRequest: 403,
    errors.OtherLogin: 403,
    errors.RequestError: 422,
    errors.RequestInvalid: 422,
    errors.IdempotencyConflict: 422,  # draft-ietf-httpapi-idempotency-key-header-07, section 2.7
    errors.NotFound: 404,
    errors.NotEditable: 409,
    errors.PromotionConflict: 409,
    errors.ReviewConflict: 409,
    errors.LabelConflict: 409,
    errors.UploadConflict: 409,
    errors.TusVersionUnknown: 412,  # tus.io, protocol 1.0, Tus-Resumable
    errors.StillInUse: 409,
    errors.RequestTimeout: 408,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
    errors.Overloaded: 503,
    errors.ConnectionsTaken: 503,
    errors.Stopping: 503,
    errors.DatabaseUnavailable: 503,
    errors.DatabaseBusy: 503,
    errors.SchemaUnknown: 503,
    errors.StorageError: 503,
    errors.StorageFull: 507,
    errors.ReadOnly: 503,
    errors.BlobMissing: 500,  # sending again does not bring it back
    errors.BlobCorrupt: 500,
    errors.ModelUnavailable: 503,
}

# What HTTP itself refuses, before or beside any class above: status -> (code, title, detail).
OF_HTTP: dict[int, tuple[str, str, str]] = {
    400: (
        "bad_request",
        "The request cannot be read",
        "The request's form is broken. Check how it is put together and send it again.",
    ),
    404: (
        "not_found",
        "There is nothing by this name here",
        "No page or call has this address. '/docs' lists all calls.",
    ),
    405: (
        "method_not_allowed",
        "This address does not take this method",
        "The header 'Allow' lists the methods that it takes.",
    ),
    413: ("too_many_bytes", "The request is larger than is taken here", "Send less at once."),
    421: (
        "host_not_allowed",
        "This service does not answer under this host name",
        "Use the address that the service was set up for, or add this name to LEAFLOOP_ALLOWED_HOSTS.",
    ),
    431: (
        "headers_too_large",
        "The headers of the request are larger than are taken here",
        "Send fewer or shorter ones. Cookies of other services under the same host name are a common cause.",
    ),
    500: (
        "internal_error",
        "Leafloop made a mistake",
        "It is in the log under this request id. Nothing was acknowledged: send the request again.",
    ),
}

# Their own words are for the operator: paths, addresses, drivers' texts. The caller is told what the class says.
_KEPT_FROM_CALLERS = (errors.Unavailable, errors.ConfigurationInvalid, errors.TaxonomyInvalid, errors.TrainingFailed)
_FOR_CALLERS = (errors.Overloaded, errors.Stopping, errors.ModelUnavailable)
_MEMBERS = frozenset({"type", "title", "status", "detail", "code", "instance", "request_id"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as a caller sees it."""

    status: int
    code: str
    title: str
    detail: str
    headers: Mapping[str, str]
    extensions: Mapping[str, Any]

    def document(self, scope: Scope) -> dict[str, Any]:
        """The members of RFC 9457, `code` and `request_id`. `type` is a place on our own page of calls and codes."""
        return {
            "type": f"/docs#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "instance": scope["path"],
            "request_id": request_id(scope),
            **{name: value for name, value in self.extensions.items() if name not in _MEMBERS},
        }

    def response(self, scope: Scope) -> JSONResponse:
        headers = {"Cache-Control": "no-store", **self.headers}
        return JSONResponse(self.document(scope), self.status, headers, media_type=MEDIA_TYPE)


def request_id(scope: Scope) -> str | None:
    """The id under which the log knows this request."""
    found: str | None = scope.get("state", {}).get("request_id")
    return found


def of_error(error: errors.LeafloopError) -> Problem:
    """The problem of one of our own errors."""
    kept = isinstance(error, _KEPT_FROM_CALLERS) and not isinstance(error, _FOR_CALLERS)
    detail = message(type(error)) if kept else error.detail
    extensions = {} if kept else {k: v for k, v in error.fields.items() if isinstance(v, str | int | float)}
    return Problem(status_of(type(error)), error.code, title(type(error)), detail, _headers(error), extensions)


def status_of(kind: type[errors.LeafloopError]) -> int:
    """The status of an error class; a class that is missing in the table answers as its parent does."""
    return next(STATUS[parent] for parent in kind.__mro__ if parent in STATUS)


def message(kind: type[errors.LeafloopError]) -> str:
    """What the class itself says: what, why, what to do."""
    return " ".join((kind.__doc__ or "").split())


def title(kind: type[errors.LeafloopError]) -> str:
    """The first sentence of the class: the same for every occurrence, as RFC 9457 wants a title."""
    return message(kind).split(". ")[0].removesuffix(".")


def _headers(error: errors.LeafloopError) -> dict[str, str]:
    headers = {}
    if isinstance(error, errors.RequestTimeout):  # RFC 9110, section 15.5.9
        headers["Connection"] = "close"
    seconds = error.fields.get("retry_after_s", error.retry_after_s)
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    if isinstance(error, errors.TusVersionUnknown):
        headers["Tus-Version"] = tus.VERSION
    if isinstance(error, errors.KeyMissing):
        headers["WWW-Authenticate"] = 'Bearer realm="leafloop"'
    if isinstance(error, errors.KeyInvalid):  # RFC 6750, section 3.1
        headers["WWW-Authenticate"] = 'Bearer realm="leafloop", error="invalid_token"'
    return headers


def of_http(status: int, *, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem of what the HTTP layer refuses by itself."""
    code, its_title, detail = OF_HTTP.get(status, OF_HTTP[500] if status >= 500 else OF_HTTP[400])
    return Problem(status, code, its_title, detail, dict(headers or {}), {})


def of_validation(error: RequestValidationError) -> Problem:
    """The problem of parameters or a body that do not fit: every field by name, never what was sent in it."""
    found = [
        {"in": str(e["loc"][0]), "field": ".".join(map(str, e["loc"][1:])), "message": e["msg"]} for e in error.errors()
    ]
    places = "; ".join(f"{e['field'] or e['in']}: {e['message']}" for e in found[:5])
    kind = errors.RequestInvalid
    detail = f"The request does not fit: {places}. '/docs' says what this call takes."
    return Problem(status_of(kind), kind.code, title(kind), detail, {}, {"errors": found})


def of_any(error: Exception) -> Problem:
    """The problem of any exception. FastAPI wraps what happens while it reads a body: there the cause counts."""
    cause = error.__cause__ if isinstance(error, HTTPException) else None
    if isinstance(cause, errors.LeafloopError):
        return of_error(cause)
    if isinstance(error, errors.LeafloopError):
        return of_error(error)
    if isinstance(error, RequestValidationError):
        return of_validation(error)
    if isinstance(error, HTTPException):
        return of_http(error.status_code, headers=error.headers)
    return of_http(500)


def note(scope: Scope, error: Exception) -> None:
    """Put the error's code on the request's log line; what callers are not told goes into a line of its own."""
    problem = of_any(error)
    scope.setdefault("state", {})["problem_code"] = problem.code
    metrics.PROBLEMS.labels(code=problem.code).inc()
    if isinstance(error, errors.LeafloopError) and problem.status >= 500 and not isinstance(error, _FOR_CALLERS):
        _log.error("request failed", code=error.code, detail=error.detail, **_cause(error))


def _cause(error: BaseException) -> dict[str, str]:
    cause = error.__cause__
    return {"cause": type(cause).__name__} if cause is not None else {}
