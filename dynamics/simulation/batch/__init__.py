"""The fast engine: many narrow networks of one architecture at once, as arrays with the batch axis last.

kernel : velocity and total weights of all of them        steppers : one step of all of them, two methods
members : what goes in and comes out                       flow, descent : the two drivers
"""
