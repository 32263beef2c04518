"""What the pages show is what happens: each of their blocks is run, and each picture is made."""
