"""The limit of receiving: bytes from a loopback socket into a file, fsync, an answer.

python -m benchmarks.limit FOLDER PORT
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from itertools import count
from pathlib import Path

from tests.services.wire_peers import element, item, pdu, pdv, us

_NUMBERS = count()
_BUFFER = 1 << 20


def _serve(connection: socket.socket, folder: Path) -> None:
    with connection:
        buffer = bytearray(_BUFFER)
        if len(connection.recv(_BUFFER)) < 100:
            return  # somebody who only looks whether the port is open
        connection.sendall(pdu(2, bytes(68) + item(0x50, item(0x51, struct.pack(">I", 131072)))))
        while _take_one(connection, folder, buffer):
            body = element(0x0900, us(0))
            connection.sendall(pdu(4, pdv(3, 3, element(0, struct.pack("<I", len(body))) + body)))
        connection.sendall(pdu(6, bytes(4)))


def _take_one(connection: socket.socket, folder: Path, buffer: bytearray) -> bool:
    """One image into a file; False: a release came instead. Only the headers of the PDUs are looked at."""
    path = folder / f"{next(_NUMBERS)}.bin"
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    view = memoryview(buffer)
    try:
        # the next header, counted from the beginning of what lies in the buffer
        ahead, kept = 0, b""
        while True:
            got = connection.recv_into(buffer)
            if not got:
                raise ConnectionError("closed in the middle of an image")
            chunk = kept + bytes(view[:got]) if kept else view[:got]
            if not ahead and chunk[0] != 4:
                return False
            at, control = ahead, 0
            while at + 12 <= len(chunk) and control != 2:
                length, control = struct.unpack_from(">I", chunk, at + 2)[0], chunk[at + 11]
                at += 6 + length
            if control == 2:
                os.write(file, chunk)
                _rest(connection, file, buffer, at - len(chunk))
                os.fsync(file)
                return True
            if at >= len(chunk):
                ahead, kept = at - len(chunk), b""
                os.write(file, chunk)
            else:
                ahead, kept = 0, bytes(chunk[at:])
                os.write(file, chunk[:at])
    finally:
        os.close(file)


def _rest(connection: socket.socket, file: int, buffer: bytearray, left: int) -> None:
    view = memoryview(buffer)
    while left:
        got = connection.recv_into(view[: min(left, len(buffer))])
        if not got:
            raise ConnectionError("closed in the middle of an image")
        os.write(file, view[:got])
        left -= got


def main() -> None:
    """Listen until killed."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    with socket.create_server(("127.0.0.1", port), backlog=128) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_serve, args=(connection, folder), daemon=True).start()


if __name__ == "__main__":
    main()
