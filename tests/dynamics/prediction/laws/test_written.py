"""The laws that stand as plain functions are those of the expressions, and a prediction loads no SymPy for them."""

import inspect
import random
import subprocess
import sys

import pytest

from dynamics.prediction.laws import written
from dynamics.prediction.laws.forms import forms, plain_name

#: Where an argument is drawn from, so that B is on its way still; one that is not here, from 0 to 1.
RANGES = {
    "y": (0.1, 0.9),
    "x": (1.1, 9.0),
    "u_A": (0.01, 0.1),
    "u_B": (0.01, 0.1),
    "g": (0.5, 3.0),
    "alpha": (0.1, 3.0),
    **dict.fromkeys(("L", "L_f", "L_A", "L_B"), (3.0, 6.0)),
    "L_c": (1.0, 3.0),
}
LOGS = (-9.0, -1.0)  # of starts and what stands in logarithms


def test_each_function_is_its_expression_at_random_points() -> None:
    """In 30 digits: 1e-11, for sums of logarithms cancel."""
    draw = random.Random(0)
    laws = forms()
    assert laws.keys() == {name for name, _ in inspect.getmembers(written, inspect.isfunction)}
    for name, (expression, symbols) in laws.items():
        function = getattr(written, name)
        names = [plain_name(s) for s in symbols]
        assert list(inspect.signature(function).parameters) == names
        for _ in range(3):
            ranges = [LOGS if n.startswith("log_") else RANGES.get(n, (0.05, 0.95)) for n in names]
            if name.startswith("saturation_integrand"):
                ranges[0] = (0.1, 0.9)  # x below 1
            point = [draw.uniform(*span) for span in ranges]
            wanted = complex(expression.evalf(30, subs=dict(zip(symbols, point, strict=True))))
            assert wanted.imag == 0, name
            assert function(*point) == pytest.approx(wanted.real, rel=1e-11, abs=1e-12), name


def test_a_cold_prediction_loads_what_it_needs() -> None:
    """Neither SymPy nor pandas, scikit-learn, scipy.stats and matplotlib, each of which takes longer than itself."""
    code = (
        "import sys; from dynamics.interface.cli import main; main(['predict', '--example', 'linnerud']); "
        "print(*{'sympy', 'matplotlib', 'pandas', 'sklearn', 'scipy.stats', 'xarray', 'joblib'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.endswith("(every word)\n\n")
