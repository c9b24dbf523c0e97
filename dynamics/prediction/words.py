"""What a prediction says: the first screen, the details behind it, and one sentence for every word of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dynamics.checks import checked_positive
from dynamics.prediction.estimates import Estimate, Kind
from dynamics.prediction.prediction import Activation, Prediction
from dynamics.runs.half_times import Status, never_notes, race_notes
from dynamics.starts.start import StartKind
from dynamics.tables import WARNING, Table, from_log, number, percent

if TYPE_CHECKING:
    from dynamics.prediction.confidence import Confidence
    from dynamics.prediction.prescription import Option

SURE = 0.95  # share of starts or tables in which the first is first, from which the order counts as known
CLOSE_RATIO = 1.01  # a ratio is told as 1 + an excess below it
LARGEST = 10  # columns of a misattribution that are listed
MANY_STARTS = 20  # simulated ones from which on quantiles mean something
MODES_SHOWN = 8  # of several outputs, on the first screen
MARGIN = 12  # columns of a screen that the label of a line takes
WORDS = (
    ("tau", "the unit of time, 1/learning rate: steps of gradient descent = time / learning rate"),
    ("half of its output", "when half of what a modality contributes to the output, along its plateau, is there"),
    ("plateau", "its weights once it is learned: alone for the first one, beside the learned ones for later ones"),
    ("half of its weights", "the same of its weights, which wait for directions that the output hardly sees"),
    ("together", "which of the two is first is open: it depends on the start or on the rows"),
    ("alone", "the run stays near the state in which only the first modality is learned"),
    ("overlap", "the second modality starts to be learned before the run comes near such a state"),
    ("never", "in the end it adds less than 1 % of what it would add alone, or its sign keeps it at zero"),
    ("not reached", "the run ended before half of its output was there"),
    ("ratio", "half-time of the last modality over that of the first"),
    ("race", "who leaves zero first; it decides which state with a single modality the network comes near"),
    ("superficial preference", "the modality learned first is not the one that explains most alone"),
    ("misattribution", "weights while a modality is alone minus its weights in the end"),
    ("|Sigma_yx|", "the size of the correlations of a modality's columns with the target: how fast it starts"),
    ("<y^2>", "the mean square of the target; what a regression explains of it is in the same unit"),
    ("aligned start", "every layer along the correlations from the beginning, balanced; what the paper's laws assume"),
    ("random start", "independent normal weights of a given width; what training has"),
    ("u0", "the norm of every layer before a fusion at the start"),
    ("mode", "a singular direction of Sigma_yx of a modality, 1 the largest; learned: half of what it has in the end"),
    ("road", "a way to the half-times: a law or a run of its own"),
    ("reduced", "the flow of an aligned start, integrated"),
    ("leading", "the paper's law, for starts near zero"),
    ("refined", "the next order from an aligned start, or the law of random starts (typical network)"),
    ("ensemble", "simulated random starts, their median"),
    ("est. error", "share of its time that a road leaves out; five deviations over seeds, close orders too"),
    ("exact", "no approximation but the solver's error"),
    ("asymptotic", "exact as u0 goes to zero; what is left out is in the est. error"),
    ("heuristic", "a rule that was calibrated, without a proof"),
    ("trunk", "the layers after the fusion"),
    ("test error", "half the mean squared error on rows that were held out; training loss: the same on the others"),
    ("to stop", "when the test error of the predicted run is lowest; a modality that comes later is cut off for good"),
    ("holds for", "what the numbers were derived for; how far they reach beyond it was measured: benchmarks/REACH.md"),
    ("met", "within 1 % of the wanted ratio"),
)


def explained() -> str:
    """Every word of the screens, one sentence each."""
    return "\n".join(f"{word}: {text}." for word, text in WORDS)


def answered(
    prediction: Prediction,
    *,
    learning_rate: float | None = None,
    typical: Estimate | None = None,
    sure: Confidence | None = None,
    change: Option | None = None,
) -> Table:
    """The first screen.

    Parameters
    ----------
    learning_rate : a column with steps of gradient descent
    typical : of a random start, to stand beside an aligned one
    sure : a bootstrap of the rows
    change : what brings both together
    """
    steps = None if learning_rate is None else checked_positive(learning_rate, "learning_rate")
    half = "half of what it takes off the loss at" if prediction.recipe.has_classes else "half of its output at"
    head = ("", half, *([] if steps is None else [f"in steps at rate {steps:g}"]))
    rows = []
    for place, m in enumerate(prediction.order, 1):
        name = m if prediction.together else f"{place} {m}"
        at = _when(prediction.estimate, m)
        reached = prediction.status[m] is Status.REACHED
        counted = number(prediction.times[m] / steps) if steps is not None and reached else ""
        rows.append((name, at, *([] if steps is None else [f"{counted} steps" if counted else ""])))
    notes = [] if typical is None else [_beside(prediction, typical)]
    notes += ["", *_line("Modes", _by_mode(prediction))] if len(prediction.modes) else []
    notes += ["", *_line("How sure", _how_sure(prediction, sure))]
    said = (*race_notes(prediction), *never_notes(prediction.estimate.reasons))
    watch = [*_preference(prediction, sure), *said, *prediction.warnings]
    notes += _line("Watch out", watch)
    if change is not None and change.met:
        notes += _line("To change", [f"{change.what} (its columns): both at the same time"])
    notes += [] if prediction.stopping is None else _line("To stop", prediction.stopping.sentences(steps))
    notes += _line("Holds for", [prediction.holds_for])
    return Table(sentence(prediction), head, tuple(rows), tuple(notes))


def _line(label: str, texts: list[str]) -> list[str]:
    """One line each; the label before the first."""
    return [f"{label if i == 0 else '':<{MARGIN}}{text}" for i, text in enumerate(texts)]


def _by_mode(prediction: Prediction) -> list[str]:
    """The first modes of several outputs, in the order in which they are learned."""
    learned = [row for row in prediction.modes if row.status is Status.REACHED]
    shown = ", ".join(f"{row.modality} {row.number} at {number(row.time, 3)}" for row in learned[:MODES_SHOWN])
    left = len(learned) < len(prediction.modes) or len(learned) > MODES_SHOWN
    more = f"; {len(learned)} of {len(prediction.modes)} by the end of the run" if left else ""
    return [f"{shown} tau{more}"] if learned else ["none is learned by the end of the run"]


def _when(estimate: Estimate, m: str) -> str:
    reached = estimate.status[m] is Status.REACHED
    return f"{from_log(estimate.log_times[m])} tau" if reached else estimate.status[m].value


def _beside(prediction: Prediction, typical: Estimate) -> str:
    times = " and ".join(_when(typical, m).removesuffix(" tau") for m in prediction.order)
    return f"  typical {typical.assumes.replace(', ', ' (')}): {times} tau"


def sentence(prediction: Prediction) -> str:
    """The answer: who is first, who follows how much later, and whether the first is alone meanwhile."""
    order, status = prediction.order, prediction.status
    first, learned = order[0], [m for m in order if status[m] is Status.REACHED]
    if not learned:
        return "Nothing is learned." if all(s is Status.NEVER for s in status.values()) else "Nothing is learned yet."
    if len(order) == 1:
        return f"{first} is learned at {_when(prediction.estimate, first)}."
    if prediction.network.is_early_fusion and prediction.activation is Activation.LINEAR:
        return "Early fusion: all are learned in one go, no modality is ever alone."
    late = [f"{m} is {'never learned' if status[m] is Status.NEVER else 'not reached'}" for m in order[len(learned) :]]
    if len(learned) == 1:
        return f"{first} is learned, {', '.join(late)}."
    second = order[1]
    if prediction.together:
        shown = "" if prediction.order_probability is None else f": {_of_starts(prediction, *order)}"
        text = f"{first} and {second} are learned together; which of them is first is open{shown}"
        return f"{text}; {', '.join(late)}." if late else f"{text}."
    if prediction.times[first] == 0:
        text = f"{first} is there from the start, {' and '.join(learned[1:])} follow{'s' * (len(learned) == 2)}"
    else:
        text = f"{first} is learned first, {second} follows {_times_late(prediction, second)} as late"
        for m in learned[2:]:
            text += f", {m} {_times_late(prediction, m)}"
    alone = is_alone(prediction)
    if alone:
        gap = prediction.lag if second == order[-1] else prediction.times[second] - prediction.times[first]
        text += f"; in between {first} is alone for {number(gap)} tau"
    elif alone is False:
        text += "; they overlap"
    return f"{text}{''.join(f'; {text}' for text in late)}."


def is_alone(prediction: Prediction) -> bool | None:
    """Whether the run visits the state in which the first modality is learned alone; None without a run."""
    runs = [e.run for e in (prediction.estimate, prediction.reduced) if e is not None and e.run is not None]
    if not runs or len(prediction.order) < 2 or prediction.network.is_early_fusion:
        return None
    names = [visit.name for visit in runs[0].itinerary]
    first = prediction.order[0]
    return f"M_{first}" in names and not math.isnan(prediction.lag)


def _times_late(prediction: Prediction, m: str) -> str:
    """How many times as late as the first."""
    if m == prediction.order[-1] and not math.isnan(prediction.ratio):
        if prediction.log_excess < math.log(CLOSE_RATIO - 1):
            return f"1 + {from_log(prediction.log_excess, 2)} times"
        return f"{number(prediction.ratio, 3)} times"
    return f"{number(math.exp(prediction.log_times[m] - prediction.log_times[prediction.order[0]]), 3)} times"


def _of_starts(prediction: Prediction, *names: str) -> str:
    """How often each is first: of few simulated starts their number, which says how little that is."""
    odds, runs = prediction.order_probability or {}, prediction.estimate.runs
    if runs is not None and len(runs) < MANY_STARTS:
        return ", ".join(f"{m} in {number(odds[m] * len(runs), 3)} of {len(runs)}" for m in names) + " random starts"
    return ", ".join(f"{m} in {_share(odds[m])}" for m in names) + " of random starts"


def _share(share: float) -> str:
    if share > 0.999:
        return "> 99.9 %"
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.3g} %"


def _how_sure(prediction: Prediction, sure: Confidence | None) -> list[str]:
    """By the start, and by the rows."""
    found, estimate = [], prediction.estimate
    first, odds = prediction.order[0], prediction.order_probability
    if odds is not None and not prediction.together and len(prediction.order) > 1:
        found.append(f"{first} first{_of_starts(prediction, first).removeprefix(first)}")
    spread = [s for s in estimate.spread.values() if math.isfinite(s)]
    bounds = [b for m, b in estimate.bound.items() if estimate.status[m] is Status.REACHED]
    if spread:
        found.append(
            f"times scatter by {percent(max(spread))} from one random start to the next (one standard deviation)"
        )
        if prediction.activation is Activation.RELU:
            found.append(f"a heuristic: trained networks were mostly within {percent(max(bounds))} of it, not all")
    elif bounds and max(bounds) < 1:
        found.append(f"times good to {percent(max(bounds))} for the {prediction.estimate.assumes}")
    elif bounds and (estimate.runs is None or len(estimate.runs) < MANY_STARTS):
        rows = " --on-samples" if prediction.recipe.has_labels else ""
        way = f"simulate --method descent{rows}" if prediction.recipe.is_run_alone else "compare, or --seeds"
        way = "train_linear in Python" if prediction.recipe.has_classes else way
        found.append(f"no error estimate to rely on for these times: simulate ({way})")
    if estimate.runs is not None and len(estimate.runs) >= MANY_STARTS:
        low, high = estimate.runs.quantile(0.05), estimate.runs.quantile(0.95)
        each = [f"{m} {number(low.times[m], 3)} to {number(high.times[m], 3)}" for m in prediction.order]
        ratio = f", ratio {number(low.ratio, 3)} to {number(high.ratio, 3)}" if len(prediction.order) > 1 else ""
        found.append(f"90 % of {len(estimate.runs)} starts: {', '.join(each)} tau{ratio}")
    if sure is not None and len(prediction.order) > 1:
        found.append(f"{first} first in {sure.percent(sure.first[first])} of resampled tables")
    return found


def _preference(prediction: Prediction, sure: Confidence | None) -> list[str]:
    if not prediction.superficial:
        return []
    first = prediction.order[0]
    most = max(prediction.explained, key=lambda m: prediction.explained[m])
    shares = prediction.explained[most], prediction.explained[first]
    slightly = "slightly more" if shares[0] < 1.1 * shares[1] else "more"
    often = sure.superficial if sure is not None else None
    resampled = "" if sure is None or often is None else f", in {sure.percent(often)} of resampled tables"
    numbers = " against ".join(f"{100 * share:.2g} %" if share < 0.995 else "100 %" for share in shares)
    return [f"{most} alone explains {slightly} of the target ({numbers}): first is not best{resampled}"]


def detailed(prediction: Prediction) -> Table:
    """Half-times of output and weights by each road, with the error that it leaves, and what explains them."""
    rows = []
    for name, estimate in prediction.estimates.items():
        for m in prediction.order:
            weights = number(estimate.weight_times[m]) if estimate.weight_times else ""
            ratio = number(estimate.ratio) if m == prediction.order[0] else ""
            cells = [from_log(estimate.log_times[m]), weights, percent(estimate.bound[m]), ratio, estimate.assumes]
            rows.append((name, m, estimate.status[m].value, *cells, estimate.kind.value))
    head = (
        "road", "modality", "status", "half-time [tau]", "of its weights", "est. error", "ratio", "start", "kind"
    )  # fmt: skip
    title = f"{named(prediction)}; the answer is by {prediction.source}, {prediction.estimate.assumes}"
    notes = [*_explanations(prediction), *(WARNING + w for w in prediction.warnings)]
    return Table(title, head, tuple(rows), tuple(notes))


def named(prediction: Prediction) -> str:
    """Network and start."""
    norms = prediction.u0
    scale = ", ".join(f"{m} {v:g}" for m, v in norms.items()) if isinstance(norms, Mapping) else f"{norms:g}"
    branches = ", ".join(f"{m} {d}" for m, d in prediction.network.depths.items())
    return f"Layers before fusion: {branches}; after it: {prediction.network.trunk.depth}. u0 = {scale}"


def _explanations(prediction: Prediction) -> list[str]:
    first = prediction.order[0]
    found = [*race_notes(prediction), *never_notes(prediction.estimate.reasons)]
    worth = ", ".join(f"{m} {number(v, 3)}" for m, v in prediction.contribution.items())
    if prediction.superficial is not None:
        verdict = "Superficial preference" if prediction.superficial else "No superficial preference"
        most = max(prediction.contribution, key=lambda m: prediction.contribution[m])
        found.append(f"{verdict}: {first} is learned first, {most} alone explains most of <y^2> ({worth}).")
    if not prediction.network.is_early_fusion and len(prediction.order) > 1:
        names, (shares,) = labelled(prediction.columns[first], prediction.misattribution[first])
        largest = np.argsort(-np.abs(shares), kind="stable")[:LARGEST]
        wrong = ", ".join(f"{names[i]} {number(float(shares[i]), 3)}" for i in np.sort(largest))
        more = f" ({len(largest)} largest of {len(names)})" if len(names) > LARGEST else ""
        found.append(f"Misattribution of {first}, its weights alone minus those in the end{more}: {wrong}")
    if prediction.estimate.kind is Kind.HEURISTIC or prediction.estimate.start is StartKind.RANDOM:
        spread = {m: s for m, s in prediction.estimate.spread.items() if math.isfinite(s)}
        if spread:
            each = ", ".join(f"{m} {percent(s)}" for m, s in spread.items())
            found.append(f"One standard deviation over seeds: {each}")
    return [*found, *prediction.remarks]


def labelled(columns: tuple[str, ...], *weights: np.ndarray) -> tuple[list[str], list[np.ndarray]]:
    """Names of all entries, and the entries of each array flat; several outputs one after the other."""
    flat = [np.ravel(w) for w in weights]
    outputs = len(flat[0]) // len(columns)
    names = [n if outputs == 1 else f"{n} on output {i}" for i in range(outputs) for n in columns]
    return names, flat
