"""Read production examples from ClickHouse."""
