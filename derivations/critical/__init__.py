"""Where the flow rests: saddles, strata, manifolds, signatures and ways out."""
