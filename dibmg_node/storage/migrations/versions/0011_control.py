"""Priorities of studies, and what an operator paused."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

min_reader = "0011"
"""Older programs know neither canceled studies nor a pause."""


def upgrade() -> None:
    op.add_column("studies", sa.Column("priority", sa.Integer(), server_default="1", nullable=False))
    op.add_column("studies", sa.Column("priority_set", sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        "studies_to_analyze",
        "studies",
        ["priority", "last_instance_at"],
        unique=False,
        sqlite_where=sa.text("state = 'READY'"),
        postgresql_where=sa.text("state = 'READY'"),
    )
    op.create_index(
        "deliveries_to_send",
        "deliveries",
        ["destination", "next_at"],
        unique=False,
        sqlite_where=sa.text("state = 'OWED'"),
        postgresql_where=sa.text("state = 'OWED'"),
    )
    op.create_table(
        "pauses",
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("resumed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("part", "name"),
    )


def downgrade() -> None:
    op.drop_table("pauses")
    op.drop_index("deliveries_to_send")
    op.drop_index("studies_to_analyze")
    op.drop_column("studies", "priority_set")
    op.drop_column("studies", "priority")
