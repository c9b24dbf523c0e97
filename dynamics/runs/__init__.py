"""What one course of training shows: half-times, saddles visited, portraits."""
