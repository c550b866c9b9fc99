"""What keeps questions to a ledger of a million studies short: a tally of delivered ones, two indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

min_reader = "0011"
"""The tally is kept by the database, whichever program writes."""

_CHANGES = (
    ("inserted", "INSERT", "NEW.state = 'DELIVERED'", 1),
    ("deleted", "DELETE", "OLD.state = 'DELIVERED'", -1),
    ("entered", "UPDATE OF state", "NEW.state = 'DELIVERED' AND OLD.state <> 'DELIVERED'", 1),
    ("left", "UPDATE OF state", "OLD.state = 'DELIVERED' AND NEW.state <> 'DELIVERED'", -1),
)


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "delivered_tally",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        op.execute(
            "CREATE FUNCTION tally_delivered() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO delivered_tally (change) VALUES (TG_ARGV[0]::bigint); RETURN NULL; END $$"
        )
    for name, event, condition, change in _CHANGES:
        head = f"CREATE TRIGGER delivered_{name} AFTER {event} ON studies FOR EACH ROW WHEN"
        if is_postgresql:
            op.execute(f"{head} ({condition}) EXECUTE FUNCTION tally_delivered('{change}')")
        else:
            op.execute(
                f"{head} {condition} BEGIN INSERT INTO delivered_tally (change) VALUES ({change}); END"
            )
    op.execute("INSERT INTO delivered_tally (change) SELECT count(*) FROM studies WHERE state = 'DELIVERED'")
    op.create_index("deliveries_of_study", "deliveries", ["study_uid", "destination"], unique=False)
    op.drop_index("deliveries_study", "deliveries")
    op.create_index(
        "deliveries_waiting",
        "deliveries",
        ["destination", "owed_since", "attempts"],
        unique=False,
        sqlite_where=sa.text("state = 'OWED'"),
        postgresql_where=sa.text("state = 'OWED'"),
    )
    if is_postgresql:
        # a fifth of millions, the default, is dead long before: what waits would be counted among it
        for table in ("studies", "deliveries"):
            op.execute(f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.01)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ("studies", "deliveries"):
            op.execute(f"ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor)")
    op.drop_index("deliveries_waiting", "deliveries")
    op.create_index("deliveries_study", "deliveries", ["study_uid"], unique=False)
    op.drop_index("deliveries_of_study", "deliveries")
    for name, *_ in _CHANGES:
        on = " ON studies" if op.get_bind().dialect.name == "postgresql" else ""
        op.execute(f"DROP TRIGGER delivered_{name}{on}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION tally_delivered()")
    op.drop_table("delivered_tally")
