"""The engine's configuration: its settings and the grants of its only user."""

import os
from pathlib import Path

ENGINE_CONFIG, USERS_CONFIG = "engine.xml", "users.xml"

# A client that logs one row at a time makes a part in the table and behind each view, about twelve for an inference.
# The cost of a part is its number of files (a dozen, or one if they are packed) and of later merges.
_ENGINE = f"""<clickhouse>
    <users_config>{USERS_CONFIG}</users_config>
    <merge_tree>
        <min_bytes_for_full_part_storage>10485760</min_bytes_for_full_part_storage>
        <min_parts_to_merge_at_once>16</min_parts_to_merge_at_once>
        <auto_statistics_types></auto_statistics_types>
    </merge_tree>
</clickhouse>
"""

_GRANTED = (
    "SHOW, SELECT, INSERT, TRUNCATE, OPTIMIZE, CHECK, KILL QUERY, CREATE DATABASE, CREATE TABLE, CREATE VIEW, "
    "CREATE TEMPORARY TABLE, CREATE FUNCTION, DROP DATABASE, DROP TABLE, DROP VIEW, DROP FUNCTION, ALTER UPDATE, "
    "ALTER DELETE, ALTER COLUMN, ALTER INDEX, ALTER PROJECTION, ALTER CONSTRAINT, ALTER STATISTICS, ALTER TTL, "
    "ALTER MATERIALIZE TTL, ALTER SETTINGS, ALTER MODIFY COMMENT, ALTER VIEW"
)
"""All rights in a database, and none on ClickHouse's sources (files, hosts, programs), its system or its users."""
_FIXED = {
    "allow_python_table_function": "0",
    "allow_introspection_functions": "0",
    "format_template_row": "",
    "format_template_resultset": "",
    "format_schema": "",
    "format_schema_source": "file",
    "format_avro_schema_registry_url": "",
    "output_format_schema": "",
    "input_format_record_errors_file_path": "",
    "s3_retry_attempts": "0",
    "http_max_tries": "1",
}
"""Fixed settings, with which a statement could otherwise name a file or a host, read this process, or hold a worker
for half a minute with retries of a request that the confinement refuses each time."""


def query_memory() -> int:
    """Return the bytes that one query may use: half of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def write_config(directory: Path) -> None:
    """Write the engine's configuration into `directory`, and overwrite existing files. Raises OSError."""
    (directory / ENGINE_CONFIG).write_text(_ENGINE, encoding="utf-8")
    (directory / USERS_CONFIG).write_text(_users(), encoding="utf-8")


def _users() -> str:
    memory = query_memory()
    settings = {**_FIXED, "max_memory_usage": str(memory)}
    values = "".join(f"<{name}>{value}</{name}>" for name, value in settings.items())
    constraints = "".join(f"<{name}><readonly/></{name}>" for name in _FIXED)
    constraints += f"<max_memory_usage><min>1</min><max>{memory}</max></max_memory_usage>"  # 0 would be no limit
    return f"""<clickhouse>
    <profiles><default>{values}<constraints>{constraints}</constraints></default></profiles>
    <quotas><default></default></quotas>
    <users><default>
        <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
        <grants><query>GRANT {_GRANTED} ON *.*</query></grants>
    </default></users>
</clickhouse>
"""
