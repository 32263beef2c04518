"""What must outlive a connection, and, with a durable storage, the process."""
