"""The landing zone: files of school records, as they come, into the bronze tables."""
