"""Alembic's entry: runs the migrations on the connection that `engine.migrate` hands in."""

from alembic import context
from sqlalchemy import text

from dibmg_node.storage.compatibility import enter_oldest_reader
from dibmg_node.storage.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        # nodes of several machines may come up at once; SQLite has one writer anyway
        connection.execute(text("SELECT pg_advisory_xact_lock(1145655623)"))
        # an index on a large table takes longer than any statement of a node may
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    context.run_migrations()
    enter_oldest_reader(connection)
# SQLite's migrations are committed one by one, so that no transaction is left there to end with this block
connection.commit()
