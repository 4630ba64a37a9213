#!/usr/bin/env python3
"""Asks a folder of archive objects what Athena would be asked.

    query.py FOLDER 'SELECT service, count(*) AS lines FROM archive GROUP BY service'
    query.py FOLDER @errors        a query of queries.sql, by its name

FOLDER is a copy of the bucket, or of a part of it: `aws s3 sync s3://BUCKET/archive/env=production/service=api/
FOLDER/archive/env=production/service=api/`. The view `archive` has the columns and types of archive.sql; queries are
Athena's SQL as far as queries.sql goes. Prints one JSON object a row. Needs the packages of requirements.txt.
"""

import pathlib
import re
import sys

import duckdb

HERE = pathlib.Path(__file__).parent

# Functions of Athena that DuckDB calls otherwise. Times are in UTC, as Athena's are.
DIALECT = """
SET TimeZone = 'UTC';
CREATE MACRO json_extract_scalar(json, path) AS json_extract_string(json, path);
CREATE MACRO approx_percentile(value, share) AS approx_quantile(value, share);
CREATE MACRO from_iso8601_timestamp(text) AS CAST(text AS TIMESTAMPTZ);
CREATE MACRO cardinality(list) AS len(list);
"""


def columns():
    """The columns of archive.sql as DuckDB's types, by name, and the partition columns."""
    sql = re.sub(r"--[^\n]*", "", (HERE / "archive.sql").read_text(encoding="utf-8"))
    body = re.search(r"archive \((.*?)\)\s*PARTITIONED BY \((.*?)\)", sql, re.DOTALL)
    kept = {}
    for name, kind in re.findall(r"`(\w+)` (struct<.*?\n\s*>|\w+)", body[1], re.DOTALL):
        kept[name] = duckdb_type(kind)
    partitions = {name: duckdb_type(kind) for name, kind in re.findall(r"`(\w+)` (\w+)", body[2])}
    return kept, partitions


def duckdb_type(kind):
    kind = re.sub(r"array<(\w+)>", r"\1[]", kind)
    kind = re.sub(r"(\w+):\s*", r'"\1" ', kind)
    return kind.replace("struct<", "struct(").replace(">", ")").replace("string", "varchar")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def connect(folder):
    """A connection with the view `archive` over the objects in `folder`."""
    kept, partitions = columns()
    struct = lambda types: "{" + ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in types.items()) + "}"
    files = quoted(str(pathlib.Path(folder) / "archive/**/*.ndjson.zst"))
    connection = duckdb.connect()
    connection.execute(DIALECT)
    connection.execute(
        f"CREATE VIEW archive AS SELECT * FROM read_json({files}, format = 'newline_delimited', compression = 'zstd', "
        f"columns = {struct(kept)}, hive_partitioning = true, hive_types = {struct(partitions)})"
    )
    return connection


def ready_query(name):
    """A query of queries.sql."""
    for text in (HERE / "queries.sql").read_text(encoding="utf-8").split(";\n"):
        if re.search(rf"^-- {re.escape(name)}:", text, re.MULTILINE):
            return text
    sys.exit(f"queries.sql has no query {name}")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, query = sys.argv[1:]
    query = ready_query(query[1:]) if query.startswith("@") else query
    try:
        query = query.strip().removesuffix(";")
        connect(folder).execute(f"COPY (\n{query}\n) TO '/dev/stdout' (FORMAT json)")
    except duckdb.Error as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
