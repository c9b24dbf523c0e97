"""A file for each family of commands: every command's options beside what it does."""
