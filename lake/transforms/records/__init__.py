"""Texts of school records to typed values: one pure rule per kind of field."""
