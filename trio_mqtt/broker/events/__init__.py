"""What happens in a broker, for a program that follows it."""
