"""An S3-compatible storage that answers by HTTP on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.request import Request, urlopen

import boto3
from moto.server import ThreadedMotoServer
from pacs import free_port

from dibmg_node.storage.objects import ObjectStore, open_objects

BUCKET = "dibmg"


@dataclass
class ObjectStorage:
    """A running server with one bucket."""

    port: int
    server: ThreadedMotoServer

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def store(self) -> ObjectStore:
        return open_objects(f"s3://{BUCKET}/node", self.endpoint, "key", "secret")

    def client(self) -> object:
        """What another program sees of it."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )


@contextmanager
def running_object_storage() -> Iterator[ObjectStorage]:
    """A server of a test's own."""
    port = free_port()
    storage = ObjectStorage(port, ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False))
    storage.server.start()
    try:
        # what it holds belongs to the process, not to the server
        urlopen(Request(f"{storage.endpoint}/moto-api/reset", method="POST")).close()
        storage.client().create_bucket(Bucket=BUCKET)  # type: ignore[attr-defined]
        yield storage
    finally:
        storage.server.stop()
