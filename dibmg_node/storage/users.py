"""Who may use the pages: names, roles and hashed passwords in a file that `dibmg user` writes."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dibmg_node.errors import PermanentError
from dibmg_node.storage.ownership import hand_over

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 1024
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_AT_ONCE: Final = 2
"""Passwords that are checked at the same time: each takes 64 MB and a core."""


class UserRole(StrEnum):
    """What a user may do: look, or look and have things tried again."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True)
class User:
    """Somebody who may log in.

    Attributes:
        stamp: Changes with the password; a session that has another one is over.
    """

    name: str
    role: UserRole
    stamp: str


class Users:
    """The file of users; read anew when it changed."""

    def __init__(self, path: Path, hasher: PasswordHasher = PasswordHasher()) -> None:
        """Name the file; without one there is no user."""
        self._path = path
        self._hasher = hasher
        self._nobody = ""
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._seen: tuple[object, Mapping[str, Mapping[str, str]]] = (None, {})

    def all(self) -> list[User]:
        """Everybody, by name.

        Raises:
            PermanentError: The file is none of users.
        """
        return [_user(name, entry) for name, entry in sorted(self._entries().items())]

    def find(self, name: str) -> User | None:
        """A user by name.

        Raises:
            PermanentError: The file is none of users.
        """
        entry = self._entries().get(name)
        return None if entry is None else _user(name, entry)

    def check(self, name: str, password: str) -> User | None:
        """The user, if the password is theirs; takes as long where there is no such user.

        Raises:
            PermanentError: The file is none of users.
        """
        entry = self._entries().get(name)
        with self._room:
            self._nobody = self._nobody or self._hasher.hash(os.urandom(16).hex())
            known = self._nobody if entry is None else entry["hash"]
            try:
                self._hasher.verify(known, password[:LONGEST_PASSWORD])
            except (VerificationError, InvalidHashError):
                return None
        return None if entry is None else _user(name, entry)

    def put(self, name: str, role: UserRole, password: str) -> User | None:
        """Add a user, or give one another role and password; returns who had the name before.

        Raises:
            PermanentError: The name is none, the password is too short or too long, or the file is none of
                users.
        """
        if not _NAME.fullmatch(name):
            raise PermanentError("a user's name has 1 to 64 letters, digits, '.', '_', '@' and '-'")
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise PermanentError(f"a password has at least {SHORTEST_PASSWORD} characters")
        entry = {"role": role.value, "hash": self._hasher.hash(password)}
        before = self.find(name)
        self._write({**self._entries(), name: entry})
        return before

    def remove(self, name: str) -> User:
        """Take a user out; sessions end with it. Returns who it was.

        Raises:
            PermanentError: There is no such user, or the file is none of users.
        """
        entries = dict(self._entries())
        removed = entries.pop(name, None)
        if removed is None:
            raise PermanentError(f"no user {name}")
        self._write(entries)
        return _user(name, removed)

    def _entries(self) -> Mapping[str, Mapping[str, str]]:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            told = f"{self._path} cannot be looked at ({error.strerror}): run this as the node's user"
            raise PermanentError(told) from error
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if self._seen[0] != version:
            self._seen = (version, self._read())
        return self._seen[1]

    def _read(self) -> Mapping[str, Mapping[str, str]]:
        try:
            entries: dict[str, dict[str, str]] = json.loads(self._path.read_text(encoding="utf-8"))["users"]
            for name, entry in entries.items():
                _user(name, entry)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PermanentError(f"{self._path} is no file of users ({type(error).__name__})") from error
        return entries

    def _write(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        draft = self._path.with_name(self._path.name + ".new")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"users": entries}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        hand_over(self._path.parent)
        hand_over(draft, self._path if self._path.exists() else None)
        draft.replace(self._path)


def _user(name: str, entry: Mapping[str, str]) -> User:
    return User(name, UserRole(entry["role"]), sha256(entry["hash"].encode()).hexdigest()[:32])
