"""Files out of one folder, with what a browser should do with each."""

import asyncio
import gzip
import mimetypes
import os
from collections import OrderedDict
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from console_web.server.faults import Fault

PAGE_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
        "connect-src 'self' ws: wss: http: https:; worker-src 'self' blob:; "
        "media-src 'self' blob:; font-src 'self' data:; frame-ancestors 'self'; base-uri 'self'; "
        "form-action 'self'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
ASSET_HEADERS = {
    "cache-control": "public, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
}
PACKED_SUFFIXES = frozenset({".html", ".js", ".css", ".svg", ".json", ".webmanifest"})
PACKED_MAX = 128
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".pmtiles": "application/octet-stream",
}


class Folder:
    """The built screens. Hashed assets never change; pages are asked for each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._packed: OrderedDict[tuple[Path, int], bytes] = OrderedDict()

    async def get(self, request: Request, name: str) -> Response:
        """A file of the folder.

        Raises:
            Fault: 404.
        """
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise Fault(404, "not_found", detail="no such page")
        headers = ASSET_HEADERS if name.startswith("assets/") else PAGE_HEADERS
        media_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        wants_gzip = "gzip" in request.headers.get("accept-encoding", "")
        if wants_gzip and path.suffix in PACKED_SUFFIXES and "range" not in request.headers:
            return Response(
                await self._gzipped(path),
                media_type=media_type,
                headers={**headers, "content-encoding": "gzip", "vary": "accept-encoding"},
            )
        return FileResponse(path, media_type=media_type, headers=headers)

    async def _gzipped(self, path: Path) -> bytes:
        key = (path, os.stat(path).st_mtime_ns)  # noqa: PTH116 - one call, from the page cache
        packed = self._packed.get(key)
        if packed is None:
            packed = await asyncio.to_thread(_gzip, path)
            self._packed[key] = packed
            while len(self._packed) > PACKED_MAX:
                self._packed.popitem(last=False)
        return packed


def _gzip(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)


def ranged_file(path: Path, media_type: str, cache_control: str) -> Response:
    """A large file: answers ranges with 206, impossible ones with 416.

    Raises:
        Fault: 404.
    """
    if not path.is_file():
        raise Fault(404, "not_found", detail=f"{path.name} is not there")
    headers = {"cache-control": cache_control, "x-content-type-options": "nosniff"}
    return FileResponse(path, media_type=media_type, headers=headers)
