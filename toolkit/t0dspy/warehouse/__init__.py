"""The one door to ClickHouse: one question a `.sql` file, rows as typed values, its errors as ours."""
