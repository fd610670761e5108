"""Query ClickHouse: one question per `.sql` file, rows as typed values, and errors as WarehouseError."""
