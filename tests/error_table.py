"""The largest relative error of each combination, gathered while the tests run.

Tests call `record`; `conftest.py` prints `render` at the end of the run: optimiser and rates down,
flow and mask across, then one line for each choice on every other axis.
"""

from __future__ import annotations

from collections import defaultdict

from points import FLOWS, MASKS, OPTIMISERS, RATES, Point

Key = tuple[str, ...]

_errors: dict[Key, float] = defaultdict(float)
_counts: dict[Key, int] = defaultdict(int)
_COLUMNS = [(flow, str(mask)) for flow in FLOWS for mask in MASKS]


def _keys(point: Point) -> list[Key]:
    keys: list[Key] = [("dtype", point.dtype)]
    if point.dtype == "float64":
        keys += [
            ("core", point.optimiser, point.rate, point.flow, str(point.adapt)),
            ("loss", point.loss),
            ("query loss", str(point.query_loss)),
            ("activation", point.activation),
            ("normalisation", str(point.norm)),
            ("learned rates", str(point.learn)),
            ("context", str(point.context)),
        ]
        flags = {
            "step weights": point.step_weights,
            "weight decay": point.weight_decay,
            "decoupled decay": point.decoupled_weight_decay,
            "proximal": point.proximal,
            "clip norm": point.clip_norm,
            "gaps in targets": point.gaps,
            "rows of every step": point.stepped,
        }
        keys += [("option", name) for name, value in flags.items() if value]
    return keys


def record(point: Point, error: float) -> None:
    """Note one comparison of the package with an oracle."""
    for key in _keys(point):
        _errors[key] = max(_errors[key], error)
        _counts[key] += 1


def render() -> list[str]:
    """The table, line by line; empty if nothing was compared."""
    if not _counts:
        return []
    width = max(len(f"{o}, {r}") for o in OPTIMISERS for r in RATES)
    head = [" " * width + " |" + "|".join(f"{flow:^35}" for flow in FLOWS)]
    head.append(" " * width + " |" + "|".join("".join(f"{m!s:>8} " for m in MASKS) for _ in FLOWS))
    lines = ["largest relative error by combination (float64)", *head]
    for optimiser in OPTIMISERS:
        for rate in RATES:
            cells = []
            for flow, mask in _COLUMNS:
                key = ("core", optimiser, rate, flow, mask)
                cells.append(f"{_errors[key]:8.1e} " if _counts.get(key) else f"{'.':>8} ")
            groups = ["".join(cells[i : i + len(MASKS)]) for i in range(0, len(cells), len(MASKS))]
            lines.append(f"{f'{optimiser}, {rate}':{width}} |" + "|".join(groups))
    lines += ["", "largest relative error by choice on the other axes"]
    for key in sorted(k for k in _counts if k[0] != "core"):
        lines.append(f"{': '.join(key):40} {_errors[key]:8.1e}  ({_counts[key]} points)")
    return lines
