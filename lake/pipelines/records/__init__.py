"""School records from bronze to silver: dimensions, facts, and what is set aside."""
