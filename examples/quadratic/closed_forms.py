"""Closed forms on f(w) = a/2 (w − c)², its support and query loss the same.

One inner step maps w − c to (1 − αa)(w − c), so S steps multiply it by (1 − αa)^S, and the
meta-objective is F(w) = a/2 (1 − αa)^{2S} (w − c)². Everything follows by differentiating that, or
by leaving the inner Jacobian (1 − αa)^S out of it.
"""

from __future__ import annotations

#: Methods, in the order in which they are shown.
METHODS = ("MAML", "FOMAML", "Reptile")


def meta_gradient(method: str, alpha_a: float, steps: int, a: float, distance: float) -> float:
    """Return the meta-gradient at w.

    Parameters
    ----------
    method : {"MAML", "FOMAML", "Reptile"}
    alpha_a : float
        Inner rate times curvature.
    steps : int
        Inner steps S.
    a : float
        Curvature.
    distance : float
        w − c.

    Returns
    -------
    float

    Examples
    --------
    A step too long by half: the exact gradient is small but downhill, first order points uphill.

    >>> meta_gradient("MAML", 1.5, 1, 2.0, 1.0), meta_gradient("FOMAML", 1.5, 1, 2.0, 1.0)
    (0.5, -1.0)
    """
    contraction = (1 - alpha_a) ** steps
    if method == "MAML":
        return contraction**2 * a * distance
    if method == "FOMAML":
        return contraction * a * distance
    return (1 - contraction) * distance


def points_uphill(method: str, alpha_a: float, steps: int) -> bool:
    """Whether the meta-gradient has the sign opposite to that of F′, so that descent climbs.

    Examples
    --------
    >>> [points_uphill("FOMAML", 1.5, steps) for steps in (1, 2, 3)]
    [True, False, True]
    >>> points_uphill("Reptile", 2.5, 2)
    True
    """
    return meta_gradient(method, alpha_a, steps, 1.0, 1.0) < 0


def outer_factor(method: str, alpha_a: float, steps: int, a: float, outer_rate: float) -> float:
    """Return what one step of the outer gradient descent multiplies w − c by.

    It converges where the factor is below 1 in size. The gradients are linear in w − c.

    Examples
    --------
    >>> outer_factor("FOMAML", 1.5, 1, 2.0, 0.25)
    1.25
    """
    return 1 - outer_rate * meta_gradient(method, alpha_a, steps, a, 1.0)


def unit(method: str, a: float, distance: float) -> float:
    """Return what meta-gradients are shown in: F′ without adaptation, or Reptile's w − c.

    Examples
    --------
    >>> unit("MAML", 2.0, 3.0), unit("Reptile", 2.0, 3.0)
    (6.0, 3.0)
    """
    return distance if method == "Reptile" else a * distance
