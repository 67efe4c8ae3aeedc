"""What the lakehouse runs on: JARs, services for tests, deployment files."""
