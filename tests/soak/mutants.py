"""Small changes of a formula, one at a time: what a check of the formula must notice."""

from collections.abc import Iterator

import sympy as sp

from derivations.algebra.ordered_products import Direction, Layers


def rebuilt(node: sp.Basic, args: list) -> sp.Basic | None:
    """The node with other arguments; None if there is no such formula."""
    try:
        if isinstance(node, sp.core.relational.Relational):
            return type(node)(*args, evaluate=False)
        return node.func(*args)
    except (TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None


def at_node(node: sp.Basic, symbols: list[sp.Symbol]) -> Iterator[sp.Basic]:
    """Changes of the node itself."""
    if isinstance(node, sp.Pow):
        yield node.base ** (node.exp + 1)
        yield node.base ** (-node.exp)
        yield node.base
    elif isinstance(node, sp.Mul):
        for i in range(len(node.args)):
            yield node.func(*node.args[:i], *node.args[i + 1 :])
        yield 2 * node
        yield -node
        order = list(node.args)
        if any(not f.is_commutative for f in order):
            yield node.func(*reversed(order))
    elif isinstance(node, sp.Add):
        for i, term in enumerate(node.args):
            yield node.func(*node.args[:i], *node.args[i + 1 :])
            yield node.func(*node.args[:i], -term, *node.args[i + 1 :])
    elif isinstance(node, sp.Symbol):
        others = [s for s in symbols if s != node and s.is_commutative == node.is_commutative]
        yield from others[:2]
        yield 2 * node
        if node.is_commutative:
            yield node**2
    elif node.is_Number:
        yield node + 1
        yield -node
    elif isinstance(node, sp.transpose):
        yield node.args[0]
    elif isinstance(node, Layers):
        label, high, low = node.args
        yield from (Layers(label, high + 1, low), Layers(label, high, low + 1), Layers(sp.Symbol("V"), high, low))
        yield sp.transpose(node)
    elif isinstance(node, Direction):
        yield Direction(node.args[0], node.args[1] + 1)
        yield Direction("q", node.args[1])
    elif isinstance(node, sp.StrictLessThan | sp.StrictGreaterThan):
        flipped = {sp.StrictLessThan: sp.StrictGreaterThan, sp.StrictGreaterThan: sp.StrictLessThan}[type(node)]
        yield flipped(*node.args, evaluate=False)
        yield {sp.StrictLessThan: sp.Le, sp.StrictGreaterThan: sp.Ge}[type(node)](*node.args, evaluate=False)
    elif isinstance(node, sp.Integral):
        variable, low, high = node.limits[0]
        yield sp.Integral(node.function, (variable, low + 1, high))
        if high.is_finite is not False:
            yield sp.Integral(node.function, (variable, low, 2 * high))


def changes(
    e: sp.Basic, symbols: list[sp.Symbol], path: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[int, ...], sp.Basic]]:
    """Where a formula can be changed, and what stands there then; nothing is rebuilt yet."""
    yield from ((path, other) for other in at_node(e, symbols) if other != e)
    if isinstance(e, sp.Symbol | sp.Number | Layers | Direction):
        return
    for i, argument in enumerate(e.args):
        limits = isinstance(e, sp.Integral) and i > 0
        if limits:  # the variable is a name
            for place in (1, 2):
                yield from changes(argument.args[place], symbols, (*path, i, place))
        else:
            yield from changes(argument, symbols, (*path, i))


def applied(e: sp.Basic, path: tuple[int, ...], other: sp.Basic) -> sp.Basic | None:
    """The formula with the node at the end of `path` replaced; None if there is no such formula."""
    if not path:
        return other
    inner = applied(e.args[path[0]], path[1:], other)
    return None if inner is None else rebuilt(e, [*e.args[: path[0]], inner, *e.args[path[0] + 1 :]])


def mutants(e: sp.Basic, at_most: int | None = None) -> list[sp.Basic]:
    """Formulas that differ from `e` in one node; at most so many, evenly spread over the tree."""
    places = list(changes(e, sorted(e.free_symbols, key=str)))
    step = 1 if at_most is None else max(1, len(places) // at_most)
    found = (applied(e, path, other) for path, other in places[::step])
    return list(dict.fromkeys(form for form in found if form is not None and form != e))
