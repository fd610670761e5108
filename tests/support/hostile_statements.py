"""Statements that try to get out of the database: to files, to hosts, to programs, into the process.

`{secret}` is a file that must not be read, `{out}` a directory in which nothing may appear, `{url}` and `{address}` a
server that nobody may call. Groups whose names end in `!` have an effect where only the grants are there, without the
kernel: nothing in ClickHouse refuses them.
"""

from collections.abc import Iterator


def _table(engine: str, columns: str = "c String", insert: bool = False) -> list[str]:
    """Make a table, use it, drop it."""
    use = ["INSERT INTO try.t VALUES ('x')"] if insert else ["SELECT * FROM try.t LIMIT 9"]
    return [f"CREATE TABLE try.t ({columns}) ENGINE = {engine}", *use, "DROP TABLE IF EXISTS try.t SYNC"]


def _database(engine: str, table: str = "t") -> list[str]:
    made = f"CREATE DATABASE try_db ENGINE = {engine}"
    return [made, f"SELECT * FROM try_db.`{table}`", "DROP DATABASE IF EXISTS try_db SYNC"]


def _dictionary(source: str) -> list[str]:
    made = f"CREATE DICTIONARY try.d (k UInt64, c String) PRIMARY KEY k SOURCE({source}) LAYOUT(FLAT()) LIFETIME(0)"
    return [made, "SELECT dictGet('try.d', 'c', toUInt64(1))", "DROP DICTIONARY IF EXISTS try.d"]


def _reads(*sources: str) -> list[str]:
    return [f"SELECT * FROM {source}" for source in sources]


def _outfile(*heads: str) -> list[str]:
    return [f"{head} INTO OUTFILE '{{out}}/f{number}'" for number, head in enumerate(heads)]


_DISKS = (
    "type = local, path = '{out}/local/'",
    "type = object_storage, object_storage_type = local_blob_storage, metadata_type = local, path = '{out}/blobs/'",
    "type = encrypted, disk = disk(type = local, path = '{out}/e/'), key = '1234567812345678'",
    "type = cache, disk = disk(type = local, path = '{out}/c/'), path = '{out}/cache/', max_size = '1Mi'",
    "type = web, endpoint = '{url}/web/'",
)
_LAKES = ("iceberg", "deltaLake", "hudi", "paimon", "icebergS3", "deltaLakeCluster")
_LOCAL_LAKES = ("icebergLocal", "deltaLakeLocal", "paimonLocal")
_HOSTS = "host '127.0.0.1' port {port} user 'u' password 'p' db 'd' table 't'"

GROUPS: dict[str, list[str]] = {
    "file function": [
        *_reads(
            "file('{secret}')", "file('{secret}', 'LineAsString', 'c String')", "fileCluster('default', '{secret}')"
        ),
        *_reads(
            "file('../../secret/secret.csv')", "file('/proc/self/environ', 'LineAsString')", "filesystem('{folder}')"
        ),
        "DESCRIBE TABLE file('{secret}')",
        "WITH x AS (SELECT * FROM file('{secret}')) SELECT * FROM x",
        "SELECT * FROM view(SELECT * FROM file('{secret}'))",
        "SELECT * FROM viewIfPermitted(SELECT * FROM file('{secret}') ELSE null('c String'))",
        "SELECT * FROM loop(file('{secret}')) LIMIT 1",
        "CREATE TABLE try.t AS file('{secret}')",
        "CREATE VIEW try.v SQL SECURITY NONE AS SELECT * FROM file('{secret}')",
        "SELECT * FROM try.v",
        "SELECT * FROM remote('127.0.0.1', file('{secret}'))",
        "EXPLAIN QUERY TREE SELECT * FROM file('{secret}')",
        "INSERT INTO FUNCTION file('{out}/written.csv', 'CSV', 'a String') SELECT 'x'",
        "INSERT INTO FUNCTION file('{out}/written.csv', 'CSV', 'a String') VALUES ('x')",
        "INSERT INTO FUNCTION file('{link}/written.csv', 'CSV', 'a String') SELECT 'x'",
    ],
    "file names as tables": [
        *_reads("default.`{secret}`", "`{secret}`", "default.`../../secret/secret.csv`", "default.`{url}/t.csv`"),
        *_reads("`engine.xml`", "`users.xml`", "`lock`", "merge('default', '.*')"),
        "INSERT INTO default.`{out}/t.csv` VALUES (1)",
    ],
    "scalar file function!": [
        "SELECT file('{secret}')",
        "SELECT `\\x66ile`('{secret}')",
        "SELECT file('{link}/secret.csv')",
        "SELECT c FROM format(JSONEachRow, 'a String, c String DEFAULT file(\\'{secret}\\')', '{{\"a\": \"1\"}}')",
        "SELECT c FROM format(JSONEachRow, concat('a String, c String ALIAS fi', 'le(\\'{secret}\\')'), '{{}}')",
        "CREATE TABLE try.t (a Int8, c String DEFAULT file('{secret}')) ENGINE = Memory",
        "INSERT INTO try.t (a) VALUES (1)",
        "INSERT INTO try.t VALUES (1, file('{secret}'))",
        'INSERT INTO try.t (a) FORMAT JSONEachRow {{"a": 1}}',
        "SELECT * FROM try.t",
        "DROP TABLE try.t SYNC",
        "CREATE TABLE try.t (a Int8, c String) ENGINE = MergeTree ORDER BY a",
        "INSERT INTO try.t VALUES (1, '')",
        "ALTER TABLE try.t UPDATE c = file('{secret}') WHERE 1 SETTINGS mutations_sync = 2, "
        "allow_nondeterministic_mutations = 1",
        "SELECT * FROM try.t",
        "DROP TABLE try.t SYNC",
        "CREATE FUNCTION try_f AS (x) -> file(x)",
        "SELECT try_f('{secret}')",
        "DROP FUNCTION IF EXISTS try_f",
        "SELECT file('/proc/self/environ'), file('/proc/1/environ'), file('/proc/self/cmdline')",
        "SELECT file('../../clickhouse-password')",
    ],
    "outfile!": [
        *_outfile("EXPLAIN SELECT 1", "SHOW DATABASES", "DESCRIBE TABLE system.one", "EXISTS TABLE system.one"),
        *_outfile("SHOW CREATE TABLE system.one", "SHOW GRANTS", "EXPLAIN AST SELECT 1", "CHECK TABLE try.kept"),
        *_outfile("SELECT 1", "(SELECT 1)", "WITH 1 AS x SELECT x", "FROM system.one SELECT *", "SHOW PROCESSLIST"),
        "SELECT 1 INTO/**/OUTFILE '{out}/comment'",
        "SELECT 1 INTO -- x\nOUTFILE '{out}/line'",
        "SELECT 1 UNION ALL SELECT 2 INTO OUTFILE '{out}/union' APPEND",
        "SELECT 1 INTO OUTFILE '{link}/through'",
    ],
    "infile": [
        "INSERT INTO try.kept FROM INFILE '{secret}' FORMAT CSVWithNames",
        "INSERT INTO try.kept FROM/**/INFILE '{secret}' FORMAT CSVWithNames",
        "INSERT INTO try.kept FROM INFILE '{secret}' COMPRESSION 'none' FORMAT CSVWithNames\n",
        "SELECT * FROM try.kept",
    ],
    "hosts": [
        *_reads("url('{url}/a', 'CSV', 'a String')", "url('file://{secret}', 'CSV', 'a String')"),
        *_reads("urlCluster('default', '{url}/b', 'CSV', 'a String')"),
        *_reads("s3('{url}/bucket/k.csv', NOSIGN, 'CSV', 'a String')", "gcs('{url}/bucket/k.csv', NOSIGN, 'CSV')"),
        *_reads("s3Cluster('default', '{url}/bucket/k.csv', NOSIGN, 'CSV', 'a String')"),
        *_reads("remote('{address}', system, one)", "remoteSecure('{address}', system.one)"),
        *_reads("cluster('default', system.one)", "mysql('{address}', 'd', 't', 'u', 'p')"),
        *_reads("postgresql('{address}', 'd', 't', 'u', 'p')", "mongodb('{address}', 'd', 'c', 'u', 'p', 'a String')"),
        *_reads("redis('{address}', 'k', 'k String, v String')", "hdfs('hdfs://{address}/x', 'CSV', 'a String')"),
        *_reads("odbc('DSN=x', 'd', 't')", "jdbc('x', 'd', 't')", "ytsaurus('{url}', '//x', 't', 'a String')"),
        *_reads("arrowFlight('{address}', 'x')", "azureBlobStorage('{url}', 'c', 'x.csv', 'u', 'cGFzcw==')"),
        *_reads(*(f"{lake}('{{url}}/bucket/t/', NOSIGN)" for lake in _LAKES)),
        *_reads(*(f"{lake}('{{folder}}')" for lake in _LOCAL_LAKES), "sqlite('{secret}', 't')"),
        "INSERT INTO FUNCTION url('{url}/c', 'CSV', 'a String') SELECT 'x'",
        "INSERT INTO FUNCTION remote('{address}', system.one) SELECT 1",
    ],
    "programs and the process": [
        *_reads("executable('x.sh', TSV, 'a String')", "executable('../../../bin/sh', TSV, 'a String')"),
        *_reads("Python(os)", "Python(parameters)", "python(sys)", "arrowstream('1')"),
        "SELECT * FROM Python(os) SETTINGS allow_python_table_function = 1",
        "SET allow_python_table_function = 1",
        "SELECT addressToLine(1) SETTINGS allow_introspection_functions = 1",
        "SELECT catboostEvaluate('{secret}', 1)",
        "SELECT reverseDNSQuery('127.0.0.1')",
        "CREATE FUNCTION try_f LANGUAGE WASM FROM 'x'",
    ],
    "table engines": [
        *_table("File(CSVWithNames)"),
        *_table("File(CSVWithNames, '{secret}')"),
        *_table("URL('{url}/e', CSV)"),
        *_table("S3('{url}/bucket/e.csv', NOSIGN, 'CSV')"),
        *_table("S3Queue('{url}/bucket/*', NOSIGN, 'CSV') SETTINGS mode = 'unordered'"),
        *_table("Executable('x.sh', TSV)"),
        *_table("ExecutablePool('x.sh', TSV)"),
        *_table("SQLite('{secret}', 't')"),
        *_table("FileLog('{folder}/', 'LineAsString')"),
        *_table("MySQL('{address}', 'd', 't', 'u', 'p')"),
        *_table("PostgreSQL('{address}', 'd', 't', 'u', 'p')"),
        *_table("MongoDB('{address}', 'd', 'c', 'u', 'p')"),
        *_table("Redis('{address}') PRIMARY KEY c"),
        *_table("Kafka('{address}', 't', 'g', 'CSV')"),
        *_table(
            "RabbitMQ SETTINGS rabbitmq_host_port = '{address}', rabbitmq_exchange_name = 'e', rabbitmq_format = 'CSV'"
        ),
        *_table("NATS SETTINGS nats_url = '{address}', nats_subjects = 's', nats_format = 'CSV'"),
        *_table("HDFS('hdfs://{address}/x', 'CSV')"),
        *_table("Distributed('default', 'system', 'one')"),
        *_table("IcebergLocal('{folder}')"),
        *_table("DeltaLakeLocal('{folder}')"),
        *_table("ArrowFlight('{address}', 'x')"),
        *_table("YTsaurus('{url}', '//x', 't')"),
        "CREATE TEMPORARY TABLE tt (c String) ENGINE = File(CSVWithNames, '{secret}')",
        "ATTACH TABLE try.t FROM '{folder}/' (c String) ENGINE = File(CSVWithNames)",
        "DROP TABLE IF EXISTS try.t SYNC",
        "CREATE TABLE try.a (c Int8) ENGINE = Memory PARALLEL WITH CREATE TABLE try.t (c String) ENGINE = "
        "File(CSVWithNames, '{secret}')",
        "DROP TABLE IF EXISTS try.t SYNC",
        "DROP TABLE IF EXISTS try.a SYNC",
    ],
    "disks of tables!": [
        *(
            line
            for disk in _DISKS
            for line in _table(f"MergeTree ORDER BY c SETTINGS disk = disk({disk})", insert=True)
        ),
        *(line for disk in _DISKS for line in _table(f"Log SETTINGS disk = disk({disk})", insert=True)),
        *_table("EmbeddedRocksDB(0, '{out}/rocks') PRIMARY KEY c", insert=True),
        *_table("MergeTree ORDER BY c SETTINGS disk = disk(include = '{secret}')"),
        *_table("MergeTree ORDER BY c SETTINGS disk = disk(type = local, path = '{link}/linked/')", insert=True),
        "CREATE TABLE try.t (c String) ENGINE = MergeTree ORDER BY c",
        "ALTER TABLE try.t MODIFY SETTING disk = disk(type = local, path = '{out}/later/')",
        "DROP TABLE IF EXISTS try.t SYNC",
    ],
    "databases": [
        *_database("Filesystem('{folder}')", "secret.csv"),
        *_database("URL('{url}/')", "x.csv"),
        *_database("S3('{url}/bucket')", "x.csv"),
        *_database("SQLite('{secret}')"),
        *_database("MySQL('{address}', 'd', 'u', 'p')"),
        *_database("PostgreSQL('{address}', 'd', 'u', 'p')"),
        *_database("MaterializedPostgreSQL('{address}', 'd', 'u', 'p')"),
        *_database("Backup('d', File('{out}/backup'))"),
        *_database("DataLakeCatalog('{url}/catalog') SETTINGS catalog_type = 'rest', warehouse = 'x'"),
        *_database("HDFS('hdfs://{address}')"),
    ],
    "disks of databases!": [line for disk in _DISKS for line in _database(f"Atomic SETTINGS disk = disk({disk})")],
    "dictionaries": [
        *_dictionary("FILE(path '{secret}' format 'CSVWithNames')"),
        *_dictionary("HTTP(url '{url}/dict' format 'CSV')"),
        *_dictionary("EXECUTABLE(command 'touch {out}/ran' format 'CSV')"),
        *_dictionary("EXECUTABLE_POOL(command 'touch {out}/ran' format 'CSV')"),
        *_dictionary("LIBRARY(path '{secret}')"),
        *_dictionary("CLICKHOUSE(query 'SELECT 1 AS k, * FROM file(\\'{secret}\\')')"),
        *(line for kind in ("CLICKHOUSE", "MYSQL", "POSTGRESQL") for line in _dictionary(f"{kind}({_HOSTS})")),
        *_dictionary("REDIS(host '127.0.0.1' port {port} storage_type 'simple')"),
        *_dictionary("CASSANDRA(host '127.0.0.1' port {port} keyspace 'k' column_family 't')"),
        *_reads("dictionary('try.d')"),
    ],
    "backups": [
        "BACKUP TABLE try.kept TO File('{out}/backup')",
        "BACKUP TABLE try.kept TO Disk('default', 'backup')",
        "BACKUP TABLE try.kept TO Disk('default', '../../backup')",
        "BACKUP TABLE try.kept TO S3('{url}/bucket/backup', 'a', 'b')",
        "RESTORE TABLE try.kept FROM File('{out}/backup')",
        "ALTER TABLE try.kept FREEZE",
        "ALTER TABLE try.kept FETCH PARTITION ID 'all' FROM '/x'",
        "ALTER TABLE try.kept MOVE PARTITION ID 'all' TO DISK 'x'",
    ],
    "system and users": [
        "SYSTEM SHUTDOWN",
        "SYSTEM KILL",
        "SYSTEM STOP MERGES",
        "SYSTEM RELOAD CONFIG",
        "SYSTEM ENABLE FAILPOINT dummy_failpoint",
        "CREATE USER try_u",
        "CREATE ROLE try_r",
        "GRANT ALL ON *.* TO default",
        "GRANT READ ON FILE TO default",
        "ALTER USER default SETTINGS readonly = 0",
        "EXECUTE AS default SELECT 1",
        "CREATE NAMED COLLECTION try_n AS url = '{url}/n', format = 'CSV'",
        "CREATE WORKLOAD try_w",
        "CREATE RESOURCE try_r (READ DISK default)",
        "CREATE SETTINGS PROFILE try_p SETTINGS max_threads = 1",
        "CREATE ROW POLICY try_p ON try.kept USING 1",
    ],
    "settings with paths": [
        "SELECT 'a' AS x FORMAT Template SETTINGS format_template_row = '{secret}'",
        "SELECT 'a' AS x FORMAT Template SETTINGS format_template_resultset = '{secret}'",
        "SELECT 'a' AS x FORMAT Protobuf SETTINGS format_schema = '{secret}:M'",
        "SELECT 'a' AS x FORMAT CapnProto SETTINGS format_schema = '{secret}:M'",
        "SELECT 1 AS x FORMAT Protobuf SETTINGS format_protobuf_use_autogenerated_schema = 1, "
        "output_format_schema = '{out}/schema.proto'",
        "SELECT * FROM format(AvroConfluent, 'a String', unhex('0000000001')) "
        "SETTINGS format_avro_schema_registry_url = '{url}/registry'",
        "INSERT INTO try.kept SETTINGS input_format_allow_errors_num = 5, "
        "input_format_record_errors_file_path = '{out}/errors' FORMAT CSV\n1,2,3\n",
    ],
    "filters!": [
        "SELECT 'MARK' || 'ER-42' FROM system.one SETTINGS additional_result_filter = 'file(\\'{secret}\\') != \\'\\''",
        "SELECT 'MARK' || 'ER-42' FROM system.one SETTINGS additional_table_filters = "
        "{{'system.one': 'file(\\'{secret}\\') LIKE \\'c%\\''}}",
    ],
    "what system tables show": [
        *_reads("system.server_settings", "system.settings", "system.processes", "system.user_processes"),
        *_reads("system.named_collections", "system.users", "system.disks", "system.macros", "system.build_options"),
        *_reads("system.environment", "system.zookeeper WHERE path = '/'", "system.certificates", "system.session_log"),
    ],
}


def attempts(group: str, **world: str) -> Iterator[str]:
    """Return the statements of a group with the names of this world in them."""
    return (statement.format(**world) for statement in GROUPS[group])
