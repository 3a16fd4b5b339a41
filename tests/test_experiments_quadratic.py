"""The one-dimensional demonstration: the library against its closed forms, and the docs page."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from examples.quadratic import closed_forms, experiment, library
from examples.quadratic.experiment import run

PAGE = Path(__file__).parents[1] / "docs" / "one_dimension.md"


def tables():
    """Return the page's tables, each the cells of its rows without the headings."""
    found, last = [], False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            if not last:
                found.append([])
            found[-1].append(tuple(cell.strip() for cell in line.strip("|").split("|")))
        last = line.startswith("|")
    return [table[2:] for table in found]


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("alpha_a", [-0.5, 0.0, 0.3, 1.0, 1.25, 1.9, 2.2])
@pytest.mark.parametrize("method", closed_forms.METHODS)
def test_the_library_meets_the_closed_forms(method, alpha_a, steps):
    a = library.CURVATURE
    for w, c in ((2.0, 1.0), (-1.5, 0.5)):
        found = library.meta_gradient(method, alpha_a, steps, w, c)
        expected = closed_forms.meta_gradient(method, alpha_a, steps, a, w - c)
        size = a * max(1, abs(1 - alpha_a)) ** (2 * steps) * (abs(w) + abs(c))
        assert found == pytest.approx(expected, rel=0, abs=1e-12 * size)


@pytest.mark.parametrize("alpha_a", [0.2, 0.6, 1.3])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_exact_closed_form_is_the_derivative_of_the_objective(alpha_a, steps):
    """F is evaluated by stepping; only its central difference enters, which is exact for F."""
    a, c, h = 3.0, 0.5, 0.25

    def objective(w):
        for _ in range(steps):
            w -= alpha_a / a * (a * (w - c))
        return 0.5 * a * (w - c) ** 2

    slope = (objective(2 + h) - objective(2 - h)) / (2 * h)
    assert closed_forms.meta_gradient("MAML", alpha_a, steps, a, 1.5) == pytest.approx(slope)


def test_first_order_points_uphill_exactly_where_the_step_overshoots_an_odd_number_of_times():
    for steps in (1, 2, 3, 5):
        for alpha_a in (0.1, 0.9, 1.1, 1.5, 2.1):
            uphill = library.meta_gradient("FOMAML", alpha_a, steps, 2.0, 1.0) < 0
            assert uphill == (alpha_a > 1 and steps % 2 == 1)
            assert uphill == closed_forms.points_uphill("FOMAML", alpha_a, steps)
            assert library.meta_gradient("MAML", alpha_a, steps, 2.0, 1.0) > 0


@pytest.mark.parametrize("method", ["MAML", "FOMAML"])
def test_the_descent_is_geometric(method):
    rate = 0.1 / library.CURVATURE
    way = library.descend(method, 1.5, 1, w=2.0, c=1.0, outer_rate=rate, count=20)
    factor = closed_forms.outer_factor(method, 1.5, 1, library.CURVATURE, rate)
    np.testing.assert_allclose(way - 1.0, factor ** np.arange(21), rtol=1e-12)


def test_every_figure_of_the_page_is_what_the_command_finds():
    gradients, descents = tables()
    assert gradients == [row.cells() for row in experiment.gradients()]
    assert descents == experiment.descent_rows()
    for row in experiment.gradients():
        np.testing.assert_allclose(row.library, row.closed, rtol=0, atol=1e-12)


def test_the_text_of_the_page_quotes_its_tables():
    text = PAGE.read_text(encoding="utf-8")
    ends = {row[0]: row for row in experiment.descent_rows()}
    quoted = re.search(r"At αa = 1\.5 .*?(\d\.\d{4}).*?(\d\.\d{4})", text, re.DOTALL)
    assert quoted.groups() == ends["1.5"][1:3]
    for line in re.findall(r"factor (\d\.\d{4}) a step", text):
        assert line in {row[3] for row in ends.values()}


def test_it_runs_from_end_to_end(tmp_path, capsys):
    report = run(tmp_path / "new", quick=True, seed=3, threads=1)
    shown = capsys.readouterr().out
    assert report.error < 1e-12
    assert "uphill" in shown
    for row in report.rows:
        assert row.cells()[3] in shown
    (figure,) = report.figures
    assert min(image.imread(figure).shape[:2]) > 200
