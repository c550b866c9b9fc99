"""Accounts: who may log in to the pages is changed here, and every change is in the audit trail."""

from __future__ import annotations

from dataclasses import dataclass

from dibmg_node.services.audit import Auditor
from dibmg_node.services.operating import Person
from dibmg_node.storage.users import UserRole, Users


@dataclass(frozen=True)
class Accounts:
    """Changes the file of users. Needs no ledger: users may be there before a node was ever up."""

    users: Users
    audit: Auditor

    def put(self, who: Person, name: str, role: UserRole, password: str) -> None:
        """Add a user, or give one another role and password.

        Raises:
            PermanentError: As `Users.put`; nothing was changed.
        """
        before = self.users.put(name, role, password)
        if before is None:
            told = f"added as {role}"
        else:
            former = "as before" if before.role is role else f"before {before.role}"
            told = f"{role}, {former}; password set anew"
        self._tell(who, name, told)

    def remove(self, who: Person, name: str) -> None:
        """Take a user out.

        Raises:
            PermanentError: As `Users.remove`; nothing was changed.
        """
        removed = self.users.remove(name)
        rest = "" if self.users.all() else "; no user is left"
        self._tell(who, name, f"removed, was {removed.role}{rest}")

    def _tell(self, who: Person, name: str, what: str) -> None:
        self.audit.user_changed(who.name, who.address, name, f"user {name}: {what}")
