"""How long the explorer of the notebooks takes for one turn of a knob: `python -m benchmarks.explorer`."""

from __future__ import annotations

from itertools import product

import numpy as np

from dynamics import explore

U0S = {2: (1e-6, 1e-3, 0.1), 4: (1e-4, 1e-2, 0.1), 6: (1e-2, 0.1, 0.3)}
RHOS = (-0.6, 0.0, 0.5)


def main() -> None:
    explorer = explore()
    for control in explorer.controls.values():  # each point is timed once, not at every slider on the way to it
        control.unobserve_all()
    seconds: dict[tuple[int, int], list[float]] = {}
    for depth, u0s in U0S.items():
        for fused, u0, rho in product(sorted({1, 2, depth // 2 + 1, depth}), u0s, RHOS):
            settings = {"depth": depth, "fusion_depth": fused, "u0": u0, "rho": rho}
            explorer.controls["fusion_depth"].max = depth
            for name, value in settings.items():
                explorer.controls[name].value = value
            explorer.update()  # formulas of a new network are compiled once
            seconds.setdefault((depth, fused), []).extend(explorer.update() for _ in range(3))
    print("L, L_f   median   most [s]")
    for (depth, fused), times in seconds.items():
        print(f"{depth}, {fused}     {np.median(times):.3f}    {max(times):.3f}")
    everything = np.concatenate(list(seconds.values()))
    share = float(np.mean(everything < 0.2))
    print(f"all      {np.median(everything):.3f}    {max(everything):.3f}   under 0.2 s: {100 * share:.1f} %")


if __name__ == "__main__":
    main()
