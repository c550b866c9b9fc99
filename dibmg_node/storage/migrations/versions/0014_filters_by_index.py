"""A search by score, and by what no index begins with, reads an index alone and not every row of it."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

min_reader = "0011"

_FILTERED = ["last_instance_at", "study_uid", "state", "sender", "manufacturer", "score_exam"]


def upgrade() -> None:
    op.create_index("studies_filtered", "studies", _FILTERED, unique=False)
    op.drop_index("studies_by_last", "studies")


def downgrade() -> None:
    op.create_index("studies_by_last", "studies", ["last_instance_at"], unique=False)
    op.drop_index("studies_filtered", "studies")
