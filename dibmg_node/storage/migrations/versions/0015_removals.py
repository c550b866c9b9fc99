"""What is to go from the archive, so that it goes after the ledger has entered the purge, and not within."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

min_reader = "0011"
"""Older programs remove files within their purges, and bring images back under the same holds."""


def upgrade() -> None:
    op.create_table(
        "removals",
        sa.Column("sop_uid", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("is_result", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sop_uid", "is_result"),
    )
    op.create_index("removals_study", "removals", ["study_uid"], unique=False)


def downgrade() -> None:
    op.drop_table("removals")
