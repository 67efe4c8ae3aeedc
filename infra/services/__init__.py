"""Services that the tests and the stream demo start: MinIO and Kafka, from the cache folder."""
