"""Every refusal of the web server has one shape: `{"code", "field", "detail"}`."""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

BODY_BYTES_MAX = 65_536
_T = TypeVar("_T")
_AT = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")


class Fault(Exception):
    """An answer other than 2xx, raised where it is found."""

    def __init__(
        self,
        status: int,
        code: str,
        *,
        field: str = "",
        detail: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code} {field} {detail}")
        self.status = status
        self.code = code
        self.field = field
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """As it goes on the wire."""
        body = {"code": self.code, "field": self.field, "detail": self.detail}
        return as_json(body, status=self.status, headers=self.headers)


def as_json(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON answer that no cache keeps."""
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-store", **(headers or {})},
    )


async def read_json(request: Request, wanted: type[_T]) -> _T:
    """The request's body as `wanted`.

    Raises:
        Fault: 413 too long, 422 with the path of the field that is wrong.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Fault(413, "too_long", detail=f"at most {BODY_BYTES_MAX} bytes")
    return decode(bytes(body), wanted)


def decode(raw: bytes | str, wanted: type[_T]) -> _T:
    """`raw` as `wanted`.

    Raises:
        Fault: 422 with the path of the field that is wrong.
    """
    try:
        return msgspec.json.decode(raw, type=wanted)
    except (msgspec.DecodeError, RecursionError) as error:
        text = str(error)
        place = _AT.search(text)
        raise Fault(
            422, "malformed", field=place[1] if place else "", detail=_AT.sub("", text)
        ) from error


def query_float(request: Request, name: str, low: float, high: float) -> float | None:
    """A number of the query, None when it is not there.

    Raises:
        Fault: 422, it is no number between `low` and `high`.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise Fault(422, "malformed", field=name, detail=f"a number from {low:g} to {high:g}")
    return value


def query_text(request: Request, name: str, longest: int) -> str:
    """A text of the query, empty when it is not there.

    Raises:
        Fault: 422, it is too long.
    """
    text = request.query_params.get(name, "")
    if len(text) > longest:
        raise Fault(422, "malformed", field=name, detail=f"at most {longest} characters")
    return text
