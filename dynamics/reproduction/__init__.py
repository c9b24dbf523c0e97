"""The figures of the paper, a module each: from a setting (`dynamics.experiments`) to a Reproduction. No matplotlib."""
