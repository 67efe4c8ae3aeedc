"""Pure functions of DataFrames and Columns; nothing here reads or writes."""
