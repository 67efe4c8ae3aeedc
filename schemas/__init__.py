"""What data is: tables, their columns and what is derived from them. No I/O, no Spark import."""
