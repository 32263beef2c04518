"""What all commands share of the terminal."""
