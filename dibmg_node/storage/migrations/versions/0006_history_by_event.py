"""The few files that are missing are counted at every status, among all that ever happened."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("history_event", "history", ["event"], unique=False)


def downgrade() -> None:
    op.drop_index("history_event")
