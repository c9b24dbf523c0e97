"""The figures of the paper, a module each: from a setting (`experiments`) to a Reproduction, drawn in `drawing`."""
