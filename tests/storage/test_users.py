from __future__ import annotations

from pathlib import Path

import pytest
from argon2 import PasswordHasher

from dibmg_node.errors import PermanentError
from dibmg_node.storage.users import User, UserRole, Users

PASSWORD = "correct horse battery"


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path / "web" / "users.json", PasswordHasher(1, 8, 1))


def test_without_a_file_there_is_nobody(users: Users) -> None:
    assert (users.all(), users.find("anna"), users.check("anna", PASSWORD)) == ([], None, None)


def test_a_user_is_let_in_with_the_password_alone(users: Users) -> None:
    users.put("anna", UserRole.OPERATOR, PASSWORD)

    found = [users.check("anna", given) for given in (PASSWORD, PASSWORD + " ", "", "x" * 5000)]

    assert [one and one.role for one in found] == [UserRole.OPERATOR, None, None, None]


def test_the_file_is_its_owner_s_and_holds_no_password(users: Users, tmp_path: Path) -> None:
    users.put("anna", UserRole.VIEWER, PASSWORD)
    path = tmp_path / "web" / "users.json"

    assert path.stat().st_mode & 0o777 == 0o600
    assert "correct" not in path.read_text()
    assert "$argon2id$" in path.read_text()


def test_another_password_changes_the_stamp_and_another_process_sees_it(users: Users, tmp_path: Path) -> None:
    users.put("anna", UserRole.VIEWER, PASSWORD)
    before = users.find("anna")

    Users(tmp_path / "web" / "users.json", PasswordHasher(1, 8, 1)).put("anna", UserRole.OPERATOR, PASSWORD)

    after = users.find("anna")
    assert isinstance(before, User)
    assert isinstance(after, User)
    assert after.role is UserRole.OPERATOR
    assert after.stamp != before.stamp


def test_who_is_removed_is_gone(users: Users) -> None:
    users.put("anna", UserRole.VIEWER, PASSWORD)
    users.put("bert", UserRole.VIEWER, PASSWORD)

    users.remove("anna")

    assert [one.name for one in users.all()] == ["bert"]
    with pytest.raises(PermanentError, match="no user anna"):
        users.remove("anna")


@pytest.mark.parametrize(("name", "password"), [("", PASSWORD), ("a b", PASSWORD), ("anna", "short")])
def test_odd_names_and_short_passwords_are_refused(users: Users, name: str, password: str) -> None:
    with pytest.raises(PermanentError):
        users.put(name, UserRole.VIEWER, password)

    assert users.all() == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"users": {"anna": {"role": "king", "hash": ""}}}'])
def test_a_file_that_is_none_of_users_is_said_so(users: Users, tmp_path: Path, content: str) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "users.json").write_text(content)

    with pytest.raises(PermanentError, match="is no file of users"):
        users.all()
