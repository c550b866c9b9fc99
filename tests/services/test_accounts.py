"""Who may log in, as it is changed and told."""

from __future__ import annotations

from pathlib import Path

import pytest
from argon2 import PasswordHasher

from dibmg_node.errors import PermanentError
from dibmg_node.services.accounts import Accounts
from dibmg_node.services.operating import Person
from dibmg_node.storage.users import UserRole, Users
from tests.services.audit_trail import AuditTrail

OTTO = Person("otto")
PASSWORD = "correct horse battery"


@pytest.fixture
def accounts(tmp_path: Path, trail: AuditTrail) -> Accounts:
    return Accounts(Users(tmp_path / "users.json", PasswordHasher(1, 8, 1)), trail.auditor)


def test_every_change_is_told_with_what_was_before(accounts: Accounts, trail: AuditTrail) -> None:
    accounts.put(OTTO, "anna", UserRole.VIEWER, PASSWORD)
    accounts.put(OTTO, "bert", UserRole.OPERATOR, PASSWORD)
    accounts.put(OTTO, "anna", UserRole.OPERATOR, PASSWORD)
    accounts.put(OTTO, "anna", UserRole.OPERATOR, PASSWORD + "!")
    accounts.remove(OTTO, "bert")
    accounts.remove(OTTO, "anna")

    assert [one["description"] for one in trail.lines] == [
        "user anna: added as viewer",
        "user bert: added as operator",
        "user anna: operator, before viewer; password set anew",
        "user anna: operator, as before; password set anew",
        "user bert: removed, was operator",
        "user anna: removed, was operator; no user is left",
    ]
    assert {one["participants"][0]["user"] for one in trail.lines} == {"otto"}


def test_what_was_refused_is_not_told(accounts: Accounts, trail: AuditTrail) -> None:
    with pytest.raises(PermanentError):
        accounts.put(OTTO, "anna", UserRole.VIEWER, "short")
    with pytest.raises(PermanentError):
        accounts.remove(OTTO, "anna")

    assert trail.lines == []
