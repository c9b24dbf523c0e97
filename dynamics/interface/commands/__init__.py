"""A file for each family of commands: its options and its actions."""
