"""The embedded stack: ClickHouse, the gateway and the program server on localhost, without Docker."""
