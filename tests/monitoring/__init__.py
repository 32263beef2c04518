"""What those who run a broker watch it by."""
