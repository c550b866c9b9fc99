"""When a later reading replaced a result: of the same images it has the same revision.

Of readings before it nobody knows that; a study is told apart from its next reading on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

min_reader = "0016"
"""Older programs cannot read what this one keeps of an image."""


def upgrade() -> None:
    op.add_column("results", sa.Column("replaced_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("results", "replaced_at")
