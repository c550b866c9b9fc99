"""Deliveries are proven, alarms have a beginning and an end, and studies are purged."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PURGED = ("studies", "instances", "results")


def upgrade() -> None:
    for table in _PURGED:
        op.add_column(table, sa.Column("purged_at", sa.BigInteger(), nullable=True))
    op.add_column(
        "deliveries", sa.Column("proof", sa.String(length=16), nullable=False, server_default="none")
    )
    op.add_column("deliveries", sa.Column("proof_attempts", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "commitments",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("result_uid", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["result_uid"], ["results.sop_uid"]),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"]),
        sa.PrimaryKeyConstraint("transaction_uid", "result_uid"),
    )
    op.create_index("commitments_study", "commitments", ["study_uid"], unique=False)
    op.create_table(
        "alarms",
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("destination"),
    )


def downgrade() -> None:
    op.drop_table("alarms")
    op.drop_index("commitments_study")
    op.drop_table("commitments")
    for column in ("proof_attempts", "proof"):
        with op.batch_alter_table("deliveries") as batch:
            batch.drop_column(column)
    for table in _PURGED:
        with op.batch_alter_table(table) as batch:
            batch.drop_column("purged_at")
