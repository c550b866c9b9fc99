"""`dibmg user`: who may log in to the pages."""

from __future__ import annotations

import sys

import click

from dibmg_node.cli.control import this_person
from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.config import Settings
from dibmg_node.machine.data_folder import make_data_folder
from dibmg_node.services.accounts import Accounts
from dibmg_node.storage.users import UserRole, Users
from dibmg_node.wiring import foundation
from dibmg_node.wiring.auditing import open_audit
from dibmg_node.wiring.exposure import is_login_needed


@click.group()
def user() -> None:
    """Users of the dashboard."""


@user.command("add", epilog="Example: dibmg user add anna --role operator")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in UserRole]),
    default=UserRole.VIEWER.value,
    show_default=True,
    help="viewer: looks; operator: has studies tried again, too.",
)
@click.option("--password-stdin", is_flag=True, help="Take the password from standard input.")
@with_config
def user_add(name: str, role: str, password_stdin: bool, settings: Settings) -> None:
    """Add a user, or give one another role and password; takes effect at once."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    _accounts(settings).put(this_person(), name, UserRole(role), password)
    click.echo(f"{name} may log in as {role}")


@user.command("remove", epilog="Example: dibmg user remove anna")
@click.argument("name")
@click.option("--last", is_flag=True, help="Even the last one: see the refusal.")
@with_config
def user_remove(name: str, last: bool, settings: Settings) -> None:
    """Take a user out; sessions end at once."""
    names = [one.name for one in Users(settings.users_file).all()]
    if name not in names:
        fail(f"no user {name}", EXIT_FAILED)
    only = names == [name]
    if only and not last:
        fail(f"{name} is the last user. {_without_users(settings)} --last does it all the same", EXIT_FAILED)
    _accounts(settings).remove(this_person(), name)
    click.echo(f"{name} may not log in any more")
    if only:
        click.echo(_without_users(settings), err=True)


def _accounts(settings: Settings) -> Accounts:
    """What changes users; a trail that cannot be opened ends the program before anything is changed."""
    make_data_folder(settings.data_dir)
    return Accounts(Users(settings.users_file), open_audit(settings, "operator", foundation.now))


def _without_users(settings: Settings) -> str:
    """What it means that nobody is left to log in."""
    if settings.web and settings.web.oidc:
        return "Without any, people log in to the dashboard by web.oidc alone."
    if is_login_needed(settings):
        return "Without any, nobody can log in to the dashboard until one is added (dibmg user add NAME)."
    return (
        "Without any, the dashboard asks nobody to log in: whoever uses this machine sees it as operator. "
        "Add another user first (dibmg user add NAME)."
    )


@user.command("list", epilog="Example: dibmg user list")
@with_config
@with_json
def user_list(settings: Settings, as_json: bool) -> None:
    """List users and their roles."""
    found = [{"name": one.name, "role": one.role.value} for one in Users(settings.users_file).all()]
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(f"{one['name']}  {one['role']}")
