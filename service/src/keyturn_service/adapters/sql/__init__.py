"""The database, SQLite or PostgreSQL: one set of tables, statements and migrations for both.

One module a port. `rows` turns rows into the domain's values and back, `database` carries
statements out, `hot_reads` and `audit_log` gather many callers into one statement. Only those
two speak to a driver by themselves, for speed. A new table is added to `tables`, gets a
migration, and its sealed columns name their `Place` in `places`.
"""
