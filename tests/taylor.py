"""30-digit reference for two-layer late fusion with scalar inputs, sharing no code with the project.

From an aligned balanced start W_m = s_m u_m^2 and dW_m/dt = 2 |W_m| (Sigma_yx_m - sum_n W_n Sigma_nm), a
Lotka-Volterra system whose Taylor coefficients follow from a Cauchy product. Fixed step h, order 45: the
nearest pole is R = pi/(2 |Sigma_yx|) off, so that (h/R)^46 leaves less than 1e-30; order 60 agrees to 2e-35.
"""

from __future__ import annotations

from mpmath import mp, mpf

ORDER = 45


def half_times(sigma, sigma_yx, u0, plateaus, t_max=200):
    """First times at which W_m reaches half of plateaus[m], as mpf."""
    with mp.workdps(45):
        step = mpf(1) / 16
        signs = [mpf(1) if b > 0 else mpf(-1) for b in sigma_yx]
        w = [s * mpf(u0) ** 2 for s in signs]
        b = [mpf(x) for x in sigma_yx]
        s = [[mpf(x) for x in row] for row in sigma]
        found = [None, None]
        t = mpf(0)
        while any(x is None for x in found) and t < t_max:
            series = _series(w, b, s, signs)
            end = [mp.polyval(c[::-1], step) for c in series]
            for m in range(2):
                half = mpf(plateaus[m]) / 2
                if found[m] is None and (w[m] - half) * (end[m] - half) <= 0:
                    root = mp.findroot(
                        lambda h, c=series[m][::-1], half=half: mp.polyval(c, h) - half,
                        (0, step),
                        solver="anderson",
                        tol=mpf(10) ** -60,
                    )
                    found[m] = t + root
            w, t = end, t + step
        return [+x for x in found]


def _series(w, b, s, signs):
    """Taylor coefficients of both weights at the present point."""
    c = [[w[0]], [w[1]]]
    for n in range(ORDER):
        for m in (0, 1):
            total = mpf(0)
            for i in range(n + 1):
                error = -sum(c[j][n - i] * s[j][m] for j in (0, 1)) + (b[m] if n == i else 0)
                total += c[m][i] * error
            c[m].append(None)
            c[m][n + 1] = 2 * signs[m] * total / (n + 1)
            c[m] = c[m][: n + 2]
    return c
