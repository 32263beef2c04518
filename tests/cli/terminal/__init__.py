"""What commands print and read at a terminal."""
