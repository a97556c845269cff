"""Change data on its way from PostgreSQL into Delta Lake and Iceberg."""
