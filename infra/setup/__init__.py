"""What `make setup` needs."""
