"""What lists and pages ask: the manufacturer of a study, keys to find it by, indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEXES = (
    ("studies_by_last", "studies", ["last_instance_at"]),
    ("studies_by_state", "studies", ["state", "last_instance_at"]),
    ("studies_by_sender", "studies", ["sender", "last_instance_at"]),
    ("studies_by_manufacturer", "studies", ["manufacturer", "last_instance_at"]),
    ("analyses_at", "analyses", ["at"]),
    ("deliveries_owed", "deliveries", ["state", "destination", "attempts", "owed_since"]),
    ("deliveries_settled", "deliveries", ["destination", "state", "settled_at"]),
)


def upgrade() -> None:
    op.add_column(
        "studies", sa.Column("manufacturer", sa.String(length=64), nullable=False, server_default="")
    )
    postgres = op.get_bind().dialect.name == "postgresql"
    maker = "facts::json ->> 'manufacturer'" if postgres else "json_extract(facts, '$.manufacturer')"
    op.execute(
        f"UPDATE studies SET manufacturer = COALESCE((SELECT TRIM(SUBSTR({maker}, 1, 64)) FROM instances "
        "WHERE instances.study_uid = studies.study_uid ORDER BY received_at LIMIT 1), '')"
    )
    op.create_table(
        "study_keys",
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_uid"],
            ["studies.study_uid"],
        ),
        sa.PrimaryKeyConstraint("key", "study_uid"),
    )
    op.create_index("study_keys_study", "study_keys", ["study_uid"], unique=False)
    for name, table, columns in _INDEXES:
        op.create_index(name, table, columns, unique=False)


def downgrade() -> None:
    for name, _, _ in reversed(_INDEXES):
        op.drop_index(name)
    op.drop_index("study_keys_study")
    op.drop_table("study_keys")
    op.drop_column("studies", "manufacturer")
