"""Services that the tests start: MinIO and Kafka, installed once into the cache folder."""
