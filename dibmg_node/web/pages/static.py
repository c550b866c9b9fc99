"""Style, script and icon: files of the package, none from elsewhere."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class StaticFiles:
    """Gives the files out; read once."""

    def __init__(self) -> None:
        folder = files("dibmg_node.web") / "static"
        self._files = {
            path.name: path.read_bytes()
            for path in folder.iterdir()
            if path.name.rpartition(".")[2] in _TYPES
        }

    def file(self, request: Request) -> Response:
        """One file."""
        name = request.path_params["name"]
        content = self._files.get(name)
        if content is None:
            raise HTTPException(404, "there is no such file")
        etag = f'"{sha256(content).hexdigest()[:16]}"'
        headers = {"Cache-Control": "no-cache", "ETag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)
