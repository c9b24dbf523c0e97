"""What is true: networks, statistics, flows, plateaus and laws of multimodal deep linear networks.

Everything is imported on first use, so that `import derivations` does not pay for SymPy.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from derivations.algebra.entry import Entry as Entry
    from derivations.algebra.entry import Statement as Statement
    from derivations.correlations import Correlations as Correlations
    from derivations.critical.manifolds import fixed_points as fixed_points
    from derivations.equations import Ledger as Ledger
    from derivations.equations import ledger as ledger
    from derivations.equations import register as register
    from derivations.errors import DataError as DataError
    from derivations.errors import DomainError as DomainError
    from derivations.errors import SolveError as SolveError
    from derivations.errors import StoreError as StoreError
    from derivations.flow.balance import differences as differences
    from derivations.flow.balance import quadratic_invariants as quadratic_invariants
    from derivations.flow.reduction import reduce as reduce
    from derivations.network import Chain as Chain
    from derivations.network import FusionNetwork as FusionNetwork
else:
    from derivations.public import lazily

    __getattr__, __dir__, __all__ = lazily(__name__, __file__)
