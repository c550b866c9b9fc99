"""Why a folder cannot be imported."""

from __future__ import annotations

from dibmg_node.errors import RejectedError


class LayoutError(RejectedError):
    """A folder is not laid out as its publisher does; the message says where, and what was expected."""
