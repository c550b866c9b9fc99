"""One origin for a browser: OHIF's files, its configuration, and the DICOMweb of an Orthanc behind them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

_CONFIGURATION = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "showWarningMessageForCrossOrigin": False,
    "showCPUFallbackMessage": False,
    "showLoadingIndicator": True,
    "strictZSpacingForVolumeViewport": True,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "Orthanc",
                "name": "orthanc",
                "wadoUriRoot": "/wado",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "qidoSupportsIncludeField": False,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "dicomUploadEnabled": False,
                "singlepart": "bulkdata,video",
                "bulkDataURI": {"enabled": True},
                "omitQuotationForMultipartRequest": True,
            },
        }
    ],
}
_ASKED_WITH = ("host", "accept", "accept-encoding", "range")
_ANSWERED_WITH = ("content-type", "content-length", "content-encoding")


def viewer_app(files: Path, orthanc: int) -> Starlette:
    """OHIF and what it asks.

    Args:
        files: OHIF as its package has it.
        orthanc: Port of Orthanc's web service.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # a connection that is kept may be closed by Orthanc just as it is used again
        limits = httpx.Limits(max_keepalive_connections=0)
        root = f"http://127.0.0.1:{orthanc}"
        async with httpx.AsyncClient(base_url=root, timeout=60, limits=limits) as client:
            app.state.orthanc = client
            yield

    async def configuration(request: Request) -> Response:
        content = f"window.config = {json.dumps(_CONFIGURATION)};"
        return Response(content, media_type="application/javascript")

    async def pass_on(request: Request) -> Response:
        # Orthanc makes the addresses in its answers from Host
        headers = {name: request.headers[name] for name in _ASKED_WITH if name in request.headers}
        client: httpx.AsyncClient = request.app.state.orthanc
        asked = client.build_request("GET", str(request.url.path), params=request.url.query, headers=headers)
        answer = await client.send(asked, stream=True)
        told = {name: answer.headers[name] for name in _ANSWERED_WITH if name in answer.headers}

        async def body() -> AsyncIterator[bytes]:
            try:
                async for part in answer.aiter_raw():
                    yield part
            finally:
                await answer.aclose()

        return StreamingResponse(body(), answer.status_code, told)

    async def static(request: Request) -> Response:
        path = files / request.path_params["path"]
        return FileResponse(path if path.is_file() else files / "index.html")

    return Starlette(
        routes=[
            Route("/app-config.js", configuration),
            Route("/dicom-web/{path:path}", pass_on),
            Route("/{path:path}", static),
        ],
        lifespan=lifespan,
    )


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """Serve on a free port of this machine; gives the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        # on a thread: uvicorn on the main one would take the signals for itself
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
