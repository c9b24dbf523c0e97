"""The page of a Report: plain HTML and CSS with pictures inside. No script runs, nothing is loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from importlib.resources import files
from typing import Any

from dynamics.figures.predictions import MOST_BARS
from dynamics.interface.pages.equations import entries_behind, equation_html
from dynamics.interface.pages.findings import Report
from dynamics.interface.pages.pictures import pictures
from dynamics.interface.pages.svg import colour_variables
from dynamics.messages import one_line
from dynamics.prediction.words import WORDS, is_alone, labelled
from dynamics.runs.half_times import Status
from dynamics.tables import WARNING, Table, number

DARK = "--paper:#161616;--ink:#e8e8e8;--soft:#a8a8a8;--line:#3c3c3c;--warn:#33290f;--edge:#e0a526"
WEIGHTS_SHOWN = 40  # rows of the table of weights


def page(report: Report) -> str:
    """The whole document."""
    drawn = pictures(report)
    sections = [
        ("first", "Who is learned first, and how sure", _first(report, drawn)),
        ("time", "Time line", _time(report, drawn)),
        ("depths", "All fusion depths side by side", _depths(report, drawn)),
        ("wrong", "What the network gets wrong meanwhile", _wrong(report, drawn)),
        ("stop", "When to stop", _stop(report, drawn)),
        ("preference", "First is not most useful", _preference(report)),
        ("portrait", "Phase portrait", _portrait(report, drawn)),
        ("optimizers", "Under other optimizers", _optimizers(report, drawn)),
        ("change", "What to change", _change(report, drawn)),
        ("laws", "The laws used", _laws(report)),
        ("words", "Words", _words(report)),
        ("again", "Inputs and versions", _again(report)),
    ]
    body = "".join(f'<section id="{key}"><h2>{title}</h2>{text}</section>' for key, title, text in sections)
    index = "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in sections)
    numbers = json.dumps(report.to_dict(), allow_nan=False).replace("<", "\\u003c")
    light, dark = (colour_variables(body, dark) for dark in (False, True))
    # paper is white: dark mode is for screens
    css = files("dynamics.interface.pages").joinpath("report.css").read_text(encoding="utf-8")
    style = f"{css}:root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{DARK};{dark}}}}}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(_title(report))}</title><style>{style}</style></head><body><main>"
        f"{_head(report)}<nav>{index}</nav>{body}</main>"
        f'<script type="application/json" id="numbers">{numbers}</script></body></html>\n'
    )


REACH = "How far that reaches for other networks, starts and optimizers was measured: benchmarks/REACH.md."


def _title(report: Report) -> str:
    return f"What will a fusion network ignore? {one_line(str(report.provenance.get('data', 'data')))}"


def _head(report: Report) -> str:
    p = report.prediction
    depths = {name: chain.depth for name, chain in p.network.chains.items() if chain.depth}
    layers = "; ".join(f"{name} {depth} layer{'' if depth == 1 else 's'}" for name, depth in depths.items())
    done = "".join(f'<p class="note">Data: {escape(note)}.</p>' for note in report.data.notes)
    warned = "".join(f'<p class="warning">{escape(WARNING + w)}</p>' for w in report.warnings)
    return (
        f"<h1>{escape(_title(report))}</h1>"
        f'<p class="note">A deep linear network: {escape(layers)} (trunk: after the fusion). Loss: half the mean '
        f"squared error. Time is in units of tau = 1/learning rate{_rate_text(report)}.</p>"
        f'<p class="answer">{escape(p.answer)}</p>{_facts(report)}'
        f'<p class="note">Holds for: {escape(p.holds_for)}. {REACH}</p>{done}{warned}'
    )


def _rate_text(report: Report) -> str:
    rate = report.learning_rate
    if rate is None:
        return ": at a learning rate of 0.01 one unit is 100 steps of full-batch gradient descent"
    return f": at your learning rate of {number(rate)} one unit is {number(1 / rate)} steps of full-batch descent"


def _facts(report: Report) -> str:
    """The few numbers that most readers come for."""
    p = report.prediction
    first, last = p.order[0], p.order[-1]
    together = p.together or p.network.is_early_fusion
    sure = report.confidence
    share = f"in {sure.percent(sure.first[first])} of resampled tables" if sure else ""
    facts = [("learned first", "together", "") if together else ("learned first", first, share)]
    for m in p.order:
        shown = f"{number(p.times[m])} tau" if math.isfinite(p.times[m]) else p.status[m].value
        facts.append((f"half of its output: {m}", shown, _steps(report, p.times[m])))
    if not together and math.isfinite(p.ratio):
        facts.append((f"{last} after {first}", f"{number(p.ratio)} times as late", ""))
    if p.superficial is not None:
        often = (
            ""
            if sure is None or sure.superficial is None
            else f"in {sure.percent(sure.superficial)} of resampled tables"
        )
        facts.append(("superficial preference", "yes" if p.superficial else "no", often))
    other = report.optimizers
    if other is not None and len(p.order) > 1 and not together:
        firsts = {run.order[0]: name for name, run in other.runs.items() if run.order[0] != first}
        facts += [(f"under {name}", f"{m} first", "see Under other optimizers") for m, name in firsts.items()]
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(note)}</small>' if note else ''}</dd></div>"
        for name, value, note in facts
    )
    return f'<dl class="facts">{cells}</dl>'


def _steps(report: Report, time: float) -> str:
    if report.learning_rate is None or not math.isfinite(time):
        return ""
    return f"{number(time / report.learning_rate)} steps"


def _first(report: Report, drawn: Mapping[str, str]) -> str:
    p = report.prediction
    text = _p(
        "Each road is a law or a run of its own, and says which start it assumes. An aligned start has every layer "
        "along the correlations from the beginning; training starts at random. The one with the star is the "
        "answer above. 'unbounded' means: do not rely on it."
    )
    text += _figure(drawn["roads"], "When half of each output is there, by each road; bars: estimated error.")
    text += _table(p.details)
    if "modes" in drawn:
        text += "<h3>Mode by mode</h3>" + _p(
            "The target has several outputs: each modality is learned direction by direction, the singular directions "
            "of its correlations with the target (mode 1 has the largest), half of what each has in the end."
        )
        text += _figure(drawn["modes"], "When half of each mode is there.") + _table(p.modes.table, notes=True)
    text += "<h3>How sure is the data?</h3>"
    text += _p("This is about the rows alone; how far single random starts scatter is in the errors above.")
    if report.confidence is None:
        return text + _none(report, "bootstrap")
    text += _p("Rows of the data drawn anew, with replacement; for each draw, who is learned first.")
    return text + _table(report.confidence.table, notes=True)


def _time(report: Report, drawn: Mapping[str, str]) -> str:
    found = report.comparison
    seeds = len(found.flows or found.descents)
    solid, dashed = ("gradient flow", "the reduced flow from an aligned start")
    if not found.flows:
        solid, dashed = found.steps, f"the {found.reduced_road} run of the typical start"
    text = _p(
        f"Solid: {solid} from one random start, every weight simulated. Dashed: {dashed}. Thin: {found.steps}, where a "
        "learning rate was given. Shaded: from half of the first output to half of the second one. Ticks on top of "
        "the weights: the times of the leading law."
    )
    pair = _figure(drawn["loss"], "Loss.") + _figure(drawn["weights"], "Norms of the total weights.")
    text += f'<div class="pair">{pair}</div><h3>Simulated beside predicted</h3>'
    return text + _p(f"Median (least - most) over {seeds} random starts.") + _table(report.comparison.table)


def _depths(report: Report, drawn: Mapping[str, str]) -> str:
    change = report.prescription
    if change is None:
        return _none(report, "prescription")
    if not change.fusion_depths:
        return _p("Branches of unequal depth, or fused more than once, have no other fusion depth to compare with.")
    own = next(iter(report.prediction.network.depths.values()))
    rows = [
        (f"{o.value:g}{' (yours)' if o.value == own else ''}", number(o.first), number(o.last), number(o.ratio), o.note)
        for o in change.fusion_depths
    ]
    first, last = change.order[0], change.order[-1]
    others = "" if len(change.order) < 3 else f" Of {len(change.order)} modalities the first and the last are compared."
    head = ("fused at layer", f"half of {first} [tau]", f"half of {last} [tau]", "ratio", "")
    text = _p(
        f"The same data, total depth and start, fused at another layer ({change.source}, {change.assumes}). The later "
        f"the fusion, the longer from first to last; fused at the first layer no modality is ever alone.{others}"
    )
    text += _figure(
        drawn["depths"], "When half of each output is there, by fusion depth; bar: from the first to the last."
    )
    return text + _table(Table("", head, tuple(rows)))


def _wrong(report: Report, drawn: Mapping[str, str]) -> str:
    p = report.prediction
    if len(p.order) < 2:
        return _p("There is one modality only.")
    if "misattribution" not in drawn:
        return _p("No modality is ever alone in early fusion, so that nothing is attributed to the wrong one.")
    first = p.order[0]
    never = [m for m, status in p.status.items() if status is Status.NEVER]
    after = (
        f"{', '.join(never)} is never learned, so that they stay there; 'in the end' is the regression on everything."
        if never
        else "They move to those of the regression on everything once the rest is learned."
    )
    text = _p(
        f"Alone, {first} takes over what its columns can say for others: its weights are those of the regression on "
        f"{first} alone. {_comes(report, first)} {after}"
    )
    count = report.weights["alone"].size
    if count > MOST_BARS:
        text += _p(f"Drawn are the {MOST_BARS} of {count} that change most.")
    text += _figure(drawn["misattribution"], f"Weights of {first}, alone and in the end.")
    return text + _table(_weights(report, first))


def _comes(report: Report, first: str) -> str:
    """Whether training comes near that state."""
    alone = is_alone(report.prediction)
    if alone is None:
        return ""
    return "Training comes near that state." if alone else "Training passes it at a distance: the two overlap."


def _weights(report: Report, first: str) -> Table:
    alone, final = report.weights["alone"], report.weights["final"]
    names, (before, after) = labelled(report.prediction.columns[first], alone, final)
    rows = [
        (n, number(float(a), 3), number(float(b), 3), number(float(a - b), 3))
        for n, a, b in zip(names, before, after, strict=True)
    ]
    head = ("column", f"{first} alone", "in the end", "difference")
    left = len(rows) - WEIGHTS_SHOWN
    notes = (f"{left} more: in the numbers at the end of this page",) if left > 0 else ()
    return Table("", head, tuple(rows[:WEIGHTS_SHOWN]), notes)


def _stop(report: Report, drawn: Mapping[str, str]) -> str:
    found = report.stopping
    if found is None:
        return _none(report, "stopping")
    answer, *rest = found.sentences(report.learning_rate)
    text = f'<p class="answer">To stop: {escape(answer)}.</p>'
    text += "".join(_p(f"{sentence[0].upper()}{sentence[1:]}.") for sentence in rest)
    text += _p(
        f"Every split draws {100 * found.share:.3g} % of the rows, predicts the run of the others, and looks at its "
        "error on those drawn: half the mean squared error. A modality that is learned after the best time is cut off "
        "by early stopping, and what the network attributes to the others instead stays."
    )
    about = (
        "Above: test error; ticks on top: half of each output. Below: what each modality puts out. Dashed: where the "
        "mean test error is lowest."
    )
    return text + _figure(drawn["stopping"], about) + _table(replace(found.table, title="", notes=()))


def _preference(report: Report) -> str:
    p, data = report.prediction, report.data
    rows = [
        (m, str(data.sizes[m]), number(float(data.strength(m))), number(p.contribution[m])) for m in data.modalities
    ]
    power = number(float(data.sigma_yy.trace()) if data.outputs > 1 else float(data.sigma_yy))
    text = _p(
        "What decides who is first is |Sigma_yx|, the correlation with the target, which grows with the scale and the "
        f"number of columns. What a modality is worth is how much of <y^2> = {power} it explains alone."
    )
    if p.superficial is None:
        verdict = "Here there is no verdict: a tie, early fusion, or a single modality."
    elif p.superficial:
        verdict = f"Here {p.order[0]} is first although another modality explains more: a superficial preference."
    else:
        verdict = f"Here {p.order[0]} is both: learned first, and the one that explains most."
    text += _p(verdict) + _table(Table("", ("modality", "inputs", "|Sigma_yx|", "<y^2> explained alone"), tuple(rows)))
    if report.scalings is not None:
        text += "<h3>In other units</h3>" + _table(report.scalings.table, notes=True)
    return text


def _portrait(report: Report, drawn: Mapping[str, str]) -> str:
    if "portrait" not in drawn:
        return _none(report, "portrait")
    about = "The reduced flow over the total weights; the line is a run from a random start."
    if report.data.outputs > 1:
        about += " Each axis is the strongest mode of a modality, all others held at zero."
    if report.prediction.network.is_early_fusion:
        why = "Early fusion has no state with a single modality: one way leads from nothing learned to everything."
    else:
        why = (
            "A network stays with one modality because it is next to a saddle, where that modality is learned and the "
            "weights of the other are still zero. M_0: nothing learned; "
        )
        why += "M_*: everything." if report.data.outputs == 1 else "the square: these two modes."
    return _p(why) + _figure(drawn["portrait"], about)


def _optimizers(report: Report, drawn: Mapping[str, str]) -> str:
    if report.optimizers is None:
        return _none(report, "optimizers")
    text = _p(
        "Adam divides each gradient by its own size, so that every weight grows at the same pace: the modality that "
        "needs the smaller weights tends to be first, however strongly the other one is correlated. Momentum changes "
        "the pace and, at large learning rates, brings times closer together."
    )
    about = "What each modality puts out, step by step; dots where half of it is learned."
    return text + _figure(drawn["optimizers"], about) + _table(report.optimizers.table, notes=True)


def _change(report: Report, drawn: Mapping[str, str]) -> str:
    change = report.prescription
    if change is None:
        return _none(report, "prescription")
    text = _p(
        f"Which change makes both be learned together ({change.source}, {change.assumes}). A factor multiplies the "
        "columns of one block; 'nearest to it' means that no value tried does it."
    )
    text += _figure(drawn["rescaling"], "How many times as late the last is, over the factor.")
    return text + _table(change.table, notes=True, wraps=True)


def _laws(report: Report) -> str:
    text = _p(
        "Numbers up to 62 are those of Zhang, Latham and Saxe, Understanding Unimodal Bias in Multimodal Deep Linear "
        "Networks, ICML 2024; from 101 on ours. Each was derived by machine from the loss; the status says what the "
        "comparison with the printed form gave. fusion-dynamics derive NUMBER prints the derivation. "
        f"In them A is {report.prediction.order[0]}, which is first"
        + (f", and B {report.prediction.order[1]}." if len(report.prediction.order) > 1 else ".")
    )
    return text + "".join(equation_html(entry) for entry in entries_behind(report.prediction))


def _words(report: Report) -> str:
    rows = "".join(f"<div><dt>{escape(word)}</dt><dd>{escape(text)}</dd></div>" for word, text in WORDS)
    return f'<dl class="words">{rows}</dl>'


def _again(report: Report) -> str:
    command = report.provenance.get("command")
    rows = [(key, _said(value)) for key, value in report.provenance.items() if key != "command" and value is not None]
    shown = f"<pre>{escape(one_line(str(command), 10_000))}</pre>" if command else ""
    about = _p("Every number on this page is in it once more, as JSON, in the element with the id numbers.")
    return shown + _table(Table("", ("what", "value"), tuple(rows)), wraps=True) + about


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {_said(v)}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else one_line(str(value), 10_000)


def _p(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _none(report: Report, part: str) -> str:
    return _p(f"Not here: {report.missing[part]}.")


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(table: Table, notes: bool = False, wraps: bool = False) -> str:
    """Rows that scroll sideways on a narrow screen; warnings stand at the top of the page already.

    wraps : the last column holds text and breaks into lines
    """
    below = Table("", (), (), tuple(n for n in table.notes if not n.startswith(WARNING))).html_notes() if notes else ""
    rows = table.html_rows()
    if wraps:
        rows = rows.replace("<table>", '<table class="wraps">', 1)
    return f'<div class="scroll">{rows}</div>{below}'
