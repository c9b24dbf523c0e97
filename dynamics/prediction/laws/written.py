"""Laws as functions of floats: made by `python -m dynamics.prediction.laws.forms`, not by hand.

A name ends in the depths of two branches, 2 or n for more; `log_g` is ln g, `u_A` is u_A(0), `rest` 1 - c K.
"""

from math import exp, log, sin

# fmt: off
# mypy: disable-error-code="no-any-return"

def first_at_depth_2(u_0: float, a: float) -> float:
    return (log(1/u_0)/a)


def log_first(log_u_0: float, log_a: float, log_I: float, L: float) -> float:
    return (log_I - log_a + log_u_0*(2 - L))


def saturation_integrand(x: float, L: float) -> float:
    return (x/(1 - x**L))


def saturation_end(L: float) -> float:
    return (2**(-1/L))


def saturation_rest(L: float) -> float:
    return (-2**(-(2 - L)/L)/(L - 2))


def rotation_integrand(s: float, alpha: float, L_f: float) -> float:
    return (alpha*(sin(alpha)**2/sin(alpha*s)**2)**(1/2 - 1/2*L_f)*(L_f - 2)*sin(alpha)/sin(alpha*s)**2)


def way_2(u_A: float) -> float:
    return (log(1/u_A))


def way_n(L_A: float, u_A: float) -> float:
    return (u_A**(2 - L_A)/(L_A - 2))


def size_left_2(P: float) -> float:
    return (exp(-P))


def size_left_n(L_A: float, P: float) -> float:
    return ((P*(L_A - 2))**(1/(2 - L_A)))


def log_integrand_22(y: float, L_A: float, L_B: float, L_c: float, K: float, rest: float, log_u_A: float, log_u_B:
        float) -> float:
    return (-1/2*L_c*(2*y + log(exp(2*K*log_u_B*y/log_u_A - 2*log_u_A + 2*log_u_B - 2*y) + 1)))


def log_size_22(x: float, c: float, K: float, rest: float, L_A: float, L_B: float, u_A: float, u_B: float) -> float:
    return (K*c*log(1/u_B)*log(x)/log(1/u_A))


def log_lead_22(log_k: float, log_u_A: float, log_u_B: float, L_A: float, L_B: float) -> float:
    return (log_k + log(-log_u_A) - log(-log_u_B))


def log_lag_22(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, L_A: float, L_B: float, L_c:
        float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_c + 2) - log_r + log(-log_u_B) + log(-K*c + 1))


def log_excess_22_alike(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, log_a: float, log_I:
        float, L_A: float, L_B: float, L_c: float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_c + 2) + L_c*log_u_A - log_I + log_a - log_r + log(-log_u_A) + log(-K*c + 1))


def log_excess_22(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, log_a: float, log_I: float,
        L_A: float, L_B: float, L_c: float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_c + 2) + L_c*log_u_A - log_I + log_a - log_r + log(-log_u_B) + log(-K*c + 1))


def log_integrand_2n(y: float, L_A: float, L_B: float, L_c: float, K: float, rest: float, log_u_A: float, log_u_B:
        float) -> float:
    return (-1/2*L_c*(2*y + log(exp(-2*log_u_A + 2*log_u_B - 2*y + 2*log(K*(1 + y/log_u_A) + rest)/(2 - L_B)) + 1)))


def log_size_2n(x: float, c: float, K: float, rest: float, L_A: float, L_B: float, u_A: float, u_B: float) -> float:
    return (log(K*c*(1 - log(x)/log(1/u_A)) + rest)/(2 - L_B))


def log_lead_2n(log_k: float, log_u_A: float, log_u_B: float, L_A: float, L_B: float) -> float:
    return (log_k + log_u_B*(L_B - 2) + log(-log_u_A) + log(L_B - 2))


def log_lag_2n(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, L_A: float, L_B: float, L_c:
        float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_c + 2) + log_R - log_r + log_u_B*(2 - L_B) - log(L_B - 2) + log(-K*c + 1))


def log_excess_2n_alike(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, log_a: float, log_I:
        float, L_A: float, L_B: float, L_c: float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_c + 2) - log_I + log_R + log_a - log_r + log_u_A*(-L_B + L_c + 2) - log(L_B - 2) + log(-K*c +
        1))


def log_excess_2n(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, log_a: float, log_I: float,
        L_A: float, L_B: float, L_c: float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_c + 2) + L_c*log_u_A - log_I + log_R + log_a - log_r + log_u_B*(2 - L_B) - log(L_B - 2) +
        log(-K*c + 1))


def log_integrand_n2(y: float, L_A: float, L_B: float, L_c: float, K: float, rest: float, log_u_A: float, log_u_B:
        float) -> float:
    return (-1/2*L_c*(2*y + log(exp(-2*K*log_u_B*(1 - exp(y*(2 - L_A))) - 2*log_u_A + 2*log_u_B - 2*y) + 1)) + y*(2 -
        L_A))


def log_size_n2(x: float, c: float, K: float, rest: float, L_A: float, L_B: float, u_A: float, u_B: float) -> float:
    return (K*c*(1 - x**(2 - L_A))*log(1/u_B))


def log_lead_n2(log_k: float, log_u_A: float, log_u_B: float, L_A: float, L_B: float) -> float:
    return (log_k + log_u_A*(2 - L_A) - log(-log_u_B) - log(L_A - 2))


def log_lag_n2(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, L_A: float, L_B: float, L_c:
        float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_A + L_c) - log_r + log(-log_u_B) + log(-K*c + 1))


def log_excess_n2_alike(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, log_a: float, log_I:
        float, L_A: float, L_B: float, L_c: float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_A + L_c) - log_I + log_a - log_r + log_u_A*(L_A + L_c - 2) + log(-log_u_A) + log(-K*c + 1))


def log_excess_n2(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, log_a: float, log_I: float,
        L_A: float, L_B: float, L_c: float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_A + L_c) - log_I + log_a - log_r + log_u_A*(L_A + L_c - 2) + log(-log_u_B) + log(-K*c + 1))


def log_integrand_nn(y: float, L_A: float, L_B: float, L_c: float, K: float, rest: float, log_u_A: float, log_u_B:
        float) -> float:
    return (-1/2*L_c*(2*y + log(exp(-2*log_u_A + 2*log_u_B - 2*y + 2*log(K*exp(y*(2 - L_A)) + rest)/(2 - L_B)) + 1)) +
        y*(2 - L_A))


def log_size_nn(x: float, c: float, K: float, rest: float, L_A: float, L_B: float, u_A: float, u_B: float) -> float:
    return (log(K*c*x**(2 - L_A) + rest)/(2 - L_B))


def log_lead_nn(log_k: float, log_u_A: float, log_u_B: float, L_A: float, L_B: float) -> float:
    return (log_k + log_u_A*(2 - L_A) + log_u_B*(L_B - 2) - log(L_A - 2) + log(L_B - 2))


def log_lag_nn(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, L_A: float, L_B: float, L_c:
        float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_A + L_c) + log_R - log_r + log_u_B*(2 - L_B) - log(L_B - 2) + log(-K*c + 1))


def log_excess_nn_alike(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, log_a: float, log_I:
        float, L_A: float, L_B: float, L_c: float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_A + L_c) - log_I + log_R + log_a - log_r + log_u_A*(L_A - L_B + L_c) - log(L_B - 2) + log(-K*c
        + 1))


def log_excess_nn(log_g: float, log_r: float, log_R: float, log_u_A: float, log_u_B: float, log_a: float, log_I: float,
        L_A: float, L_B: float, L_c: float, K: float, c: float) -> float:
    return (-L_c*log_g/(L_A + L_c) - log_I + log_R + log_a - log_r + log_u_A*(L_A + L_c - 2) + log_u_B*(2 - L_B) -
        log(L_B - 2) + log(-K*c + 1))
