"""The hive's SQLite database: one thread owns the connection, the other modules are functions of it."""
