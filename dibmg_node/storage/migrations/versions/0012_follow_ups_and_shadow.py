"""What became of exams, and what a shadow model finds in them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

min_reader = "0011"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "follow_ups",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("study_uid", sa.String(length=64), sa.ForeignKey("studies.study_uid"), nullable=False),
        sa.Column("laterality", sa.String(length=1), server_default="", nullable=False),
        sa.Column("truth", sa.String(length=8), nullable=False),
        sa.Column("found_on", sa.String(length=10), server_default="", nullable=False),
        sa.Column("source", sa.String(length=32), server_default="", nullable=False),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
        sa.Column("replaced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("follow_ups_study", "follow_ups", ["study_uid", "replaced_at"], unique=False)
    op.create_table(
        "follow_up_figures",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "shadow_due",
        sa.Column("study_uid", sa.String(length=64), sa.ForeignKey("studies.study_uid"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("series", sa.String(length=16), sa.ForeignKey("score_series.series"), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("findings", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("study_uid"),
    )
    op.create_index("shadow_due_since", "shadow_due", ["since"], unique=False)
    op.create_table(
        "shadow_readings",
        sa.Column("study_uid", sa.String(length=64), sa.ForeignKey("studies.study_uid"), nullable=False),
        sa.Column("weights_sha256", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("series", sa.String(length=16), sa.ForeignKey("score_series.series"), nullable=False),
        sa.Column("first_score", sa.Float(), nullable=False),
        sa.Column("first_threshold", sa.Float(), nullable=False),
        sa.Column("first_findings", sa.Integer(), nullable=False),
        sa.Column("first_seconds", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=True),
        sa.Column("findings", sa.Integer(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("reading", sa.Text(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "weights_sha256"),
    )
    op.create_index(
        "shadow_readings_weights", "shadow_readings", ["weights_sha256", "outcome", "at"], unique=False
    )


def downgrade() -> None:
    for table in ("shadow_readings", "shadow_due", "follow_up_figures", "follow_ups"):
        op.drop_table(table)
