"""Self-tests, and what came of them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "selftests",
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("broken_step", sa.String(length=32), nullable=False, server_default=""),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("steps", sa.Text(), nullable=False, server_default="[]"),
        sa.PrimaryKeyConstraint("study_uid"),
    )
    op.create_index("selftests_started", "selftests", ["started_at"])


def downgrade() -> None:
    op.drop_index("selftests_started", table_name="selftests")
    op.drop_table("selftests")
