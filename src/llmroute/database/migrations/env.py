"""How Alembic runs the migrations: on the connection that it is given, in its transaction."""

from alembic import context

from llmroute.database.schema import PREFIX, VERSIONS, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSIONS,
    # The database may have tables of other programs.
    include_name=lambda name, kind, _: kind != "table" or (name or "").startswith(PREFIX),
    transactional_ddl=True,
)
context.run_migrations()
