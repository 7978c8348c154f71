r"""Derivatives of the gradients: what differentiating batch normalization twice must give.

The loss is L = sum(y g). Its gradients are probed by a direction u of x's shape and directions a, b
of gamma's and beta's: S = sum(dx u) + sum(dgamma a) + sum(dbeta b). Functions named ``second_*``
are the gradients of S, which is differentiation in reverse over reverse. The same S is the rate at
which L changes when x, gamma and beta move along u, a and b, so that

* ``second_dx`` and ``second_dgamma`` are also the tangents of dx and dgamma (forward over reverse):
  second derivatives do not depend on the order;
* ``second_dg`` is also the tangent of y (forward);
* beta has no second derivative, and the tangent of dbeta is 0.

Written for any numbers as ``spec.py`` is, with the same shapes; a and b are wide. A missing gamma
counts as 1 and has no direction, a missing beta has none. Symbols besides those of ``spec.py``:
A = mean(g xhat), B = mean(u xhat), C = mean((g - mean g) (u - mean u)), and the projection
P(z) = z - mean(z) - xhat mean(z xhat), so that dx = gamma r P(g).

Source: the derivatives of BN-GRAD-1 to 3 and of BN-INFER-4 to 6; derivations stand with each.
"""

from __future__ import annotations

from .spec import Numbers, count


def mean(z: Numbers, axes: tuple[int, ...]) -> Numbers:
    """sum(z) / n over ``axes``. Wide shape."""
    return z.sum(axis=axes, keepdims=True) / count(z, axes)


def projected(z: Numbers, xhat: Numbers, axes: tuple[int, ...]) -> Numbers:
    """P(z) = z - mean(z) - xhat mean(z xhat): what the statistics leave of a change of x."""
    return z - mean(z, axes) - xhat * mean(z * xhat, axes)


def training_second_dx(
    g: Numbers,
    u: Numbers,
    xhat: Numbers,
    r: Numbers,
    gamma: Numbers | None,
    a: Numbers | None,
    axes: tuple[int, ...],
) -> Numbers:
    """dS/dx = a r P(g) - gamma r^2 [xhat (C - A B) + A P(u) + B P(g)].

    S = gamma r n (C - A B) + a sum(g xhat) + b sum(g), and moving x_i changes r by -r^2 xhat_i / n,
    A by r P(g)_i / n and B by r P(u)_i / n.
    """
    along, probed = mean(g * xhat, axes), mean(u * xhat, axes)
    kept, kept_u = projected(g, xhat, axes), projected(u, xhat, axes)
    spread = mean((g - mean(g, axes)) * u, axes) - along * probed
    through = r * r * (xhat * spread + along * kept_u + probed * kept)
    by_x = -through if gamma is None else -(gamma * through)
    return by_x if a is None else by_x + a * r * kept


def training_second_dg(
    u: Numbers,
    xhat: Numbers,
    r: Numbers,
    gamma: Numbers | None,
    a: Numbers | None,
    b: Numbers | None,
    axes: tuple[int, ...],
) -> Numbers:
    """dS/dg = gamma r P(u) + a xhat + b: S is linear in g."""
    moved = r * projected(u, xhat, axes)
    return _with_parameters(moved, xhat, gamma, a, b)


def training_second_dgamma(
    g: Numbers, u: Numbers, xhat: Numbers, r: Numbers, axes: tuple[int, ...]
) -> Numbers:
    """dS/dgamma = r sum(u P(g)): dx is linear in gamma. Wide shape."""
    return r * (u * projected(g, xhat, axes)).sum(axis=axes, keepdims=True)


def inference_second_dx(g: Numbers, r: Numbers, a: Numbers | None) -> Numbers:
    """dS/dx = a r g: dx does not depend on x, dgamma does."""
    return g * 0 if a is None else a * r * g


def inference_second_dg(
    u: Numbers,
    xhat: Numbers,
    r: Numbers,
    gamma: Numbers | None,
    a: Numbers | None,
    b: Numbers | None,
) -> Numbers:
    """dS/dg = gamma r u + a xhat + b."""
    return _with_parameters(r * u, xhat, gamma, a, b)


def inference_second_dgamma(g: Numbers, u: Numbers, r: Numbers, axes: tuple[int, ...]) -> Numbers:
    """dS/dgamma = r sum(g u). Wide shape."""
    return r * (g * u).sum(axis=axes, keepdims=True)


def _with_parameters(
    moved: Numbers, xhat: Numbers, gamma: Numbers | None, a: Numbers | None, b: Numbers | None
) -> Numbers:
    """gamma moved + a xhat + b, leaving out what is missing."""
    total = moved if gamma is None else gamma * moved
    total = total if a is None else total + a * xhat
    return total if b is None else total + b
