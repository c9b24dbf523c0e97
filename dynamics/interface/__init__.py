"""What a user meets: the command, the explorer, pages."""
