"""Read, transform, gate, publish."""
