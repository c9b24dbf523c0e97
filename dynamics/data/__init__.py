"""Reading a table of the user's own."""
