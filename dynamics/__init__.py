"""What happens: gradient flow, reduced flow and gradient descent, the laws beside them, and one table of all.

Everything is imported on first use; SymPy is loaded only by what evaluates a formula.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from derivations.correlations import Correlations as Correlations
    from derivations.errors import DataError as DataError
    from derivations.errors import DomainError as DomainError
    from derivations.errors import SolveError as SolveError
    from derivations.errors import StoreError as StoreError
    from derivations.network import Chain as Chain
    from derivations.network import FusionNetwork as FusionNetwork
    from dynamics.data.examples import load_example as load_example
    from dynamics.data.reading import read_table as read_table
    from dynamics.figures.sweeps import plot_sweep as plot_sweep
    from dynamics.interface.explorer import explore as explore
    from dynamics.interface.pages.reports import report as report
    from dynamics.nonlinear.linear import train_linear as train_linear
    from dynamics.nonlinear.relu import train_relu as train_relu
    from dynamics.nonlinear.relu_prediction import predict_relu as predict_relu
    from dynamics.paper.gallery import reproduce as reproduce
    from dynamics.prediction.comparison import compare as compare
    from dynamics.prediction.critical import critical_weight_decay as critical_weight_decay
    from dynamics.prediction.laws.grids import law_grid as law_grid
    from dynamics.prediction.laws.modulated import critical_modulation as critical_modulation
    from dynamics.prediction.optimizers import by_optimizer as by_optimizer
    from dynamics.prediction.predicting import predict as predict
    from dynamics.prediction.prescribing import prescribe as prescribe
    from dynamics.prediction.resampling import bootstrap as bootstrap
    from dynamics.prediction.watching import watch as watch
    from dynamics.recipe import Recipe as Recipe
    from dynamics.runs.portraits import portrait as portrait
    from dynamics.runs.recording import recorded as recorded
    from dynamics.runs.trajectory import load_trajectory as load_trajectory
    from dynamics.runs.whereabouts import locate as locate
    from dynamics.simulation.classes import accuracy_along as accuracy_along
    from dynamics.simulation.descent import descend as descend
    from dynamics.simulation.ensembles import ensemble as ensemble
    from dynamics.simulation.flow import integrate as integrate
    from dynamics.simulation.reduced import integrate_reduced as integrate_reduced
    from dynamics.simulation.sweeps.runner import sweep as sweep
    from dynamics.starts.aligned import aligned_weights as aligned_weights
    from dynamics.starts.initializations import default_start as default_start
    from dynamics.starts.initializations import default_weights as default_weights
    from dynamics.starts.initializations import start_of as start_of
    from dynamics.starts.initializations import weights_from_state as weights_from_state
    from dynamics.starts.typical import typical_weights as typical_weights
    from dynamics.starts.weights import random_weights as random_weights

    __version__: str
else:
    from derivations.public import lazily

    __getattr__, __dir__, __all__ = lazily(__name__, __file__)
