"""A store in PostgreSQL: each shard a schema of its own, with a log that one process writes at a time."""
