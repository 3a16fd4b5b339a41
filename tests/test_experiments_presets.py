"""The reproduction of published figures, on protocols small enough for a test."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

import fomaml_fast as ff
from examples.presets.experiment import Row, describe, markdown, run, score, train_all
from examples.presets.protocols import protocols
from examples.sinusoid.scoring import TestSet
from examples.sinusoid.training import make_network


def tiny():
    """Return the protocols, each cut down to the least that still is all of it."""
    return tuple(
        replace(
            p,
            settings=replace(
                p.quick().settings, sizes=(1, 8, 1), iterations=6, chunk=4, test_tasks=9
            ),
        )
        for p in protocols()
    )


def test_the_protocols_are_the_papers():
    finn, li, zintgraf = protocols()
    assert (finn.settings.iterations, finn.settings.tasks_per_batch) == (70_000, 25)
    assert (li.settings.iterations, li.settings.tasks_per_batch) == (60_000, 4)
    assert (zintgraf.settings.iterations, zintgraf.settings.tasks_per_batch) == (50_000, 25)
    assert li.settings.train_shots == (5, 10, 20)
    assert li.sampler.frequency == (0.8, 1.2)
    assert zintgraf.methods[0].algorithm == ff.maml(0.1)
    assert zintgraf.methods[1].algorithm == ff.cavia(1.0, context=5)
    for protocol in (finn, li, zintgraf):
        assert protocol.settings.sizes == (1, 40, 40, 1)
        assert protocol.settings.outer_rate == 0.001
        assert not protocol.settings.shortened
        assert protocol.quick().settings.shortened
    assert finn.published["maml", 5, 1] == 0.67
    assert li.published["meta_sgd", 20, 1] == 0.31
    assert zintgraf.published["maml", 10, 1] == 0.33


def test_the_curves_of_meta_sgd_are_its_papers():
    """The paper writes sin(ωx + b), b in [0, π], the sampler sin(ωx − φ)."""
    curves = protocols()[1].sampler.draw(0, 500, dtype=np.float64)
    b = -curves.phase
    assert 0 <= b.min() < 0.1
    assert math.pi - 0.1 < b.max() <= math.pi
    x = np.linspace(-5, 5, 7)
    paper = curves.amplitude[:, None] * np.sin(curves.frequency[:, None] * x + b[:, None])
    np.testing.assert_allclose(curves(x), paper, atol=1e-14)


def test_it_runs_from_end_to_end(tmp_path, capsys):
    report = run(tmp_path / "new", seed=3, threads=1, todo=tiny())
    shown = capsys.readouterr().out
    assert "SHORTENED RUN" in shown
    assert len(report.rows) == 3 + 3 * 2 + 3
    published = {(p.paper, *key): v for p in protocols() for key, v in p.published.items()}
    for row in report.rows:
        assert row.published == published.pop((row.paper, row.preset, row.shots, row.steps), None)
        assert f"{row.mean:.2f} ± {row.half:.2f}" in shown
    assert published == {}, "a published figure without a row"
    text = report.table.read_text(encoding="utf-8")
    assert markdown(report.rows) in text
    for protocol in tiny():
        assert describe(protocol, 3) in text


def test_results_do_not_depend_on_the_number_of_threads():
    one, two = (train_all(tiny(), seed=1, threads=n) for n in (1, 2))
    for a, b in zip(itertools.chain(*one), itertools.chain(*two), strict=True):
        assert a.method.name == b.method.name
        np.testing.assert_array_equal(a.theta, b.theta)
        assert (a.rates is None) == (a.method.name != "meta_sgd")
        if a.rates is not None:
            np.testing.assert_array_equal(a.rates, b.rates)


def test_rows_are_the_evaluation_with_the_learned_rates():
    protocol = tiny()[1]
    (runs,) = train_all((protocol,), seed=0, threads=1)
    rows = {(r.preset, r.shots): r for r in score(protocol, runs, seed=0, threads=1)}
    unseen = TestSet.draw(protocol.settings, 9, np.random.default_rng([0, 1004]), protocol.sampler)
    for trained in runs:
        wild = None if trained.rates is None else np.full_like(trained.rates, 0.05)
        batch = unseen.by_shots[trained.shots]
        net = make_network(protocol.settings)
        losses = [
            ff.evaluate(
                net, trained.theta, batch, trained.method.algorithm, steps=(1,), rates=rates
            ).mean[0]
            for rates in (trained.rates, wild)
        ]
        row = rows[trained.method.name, trained.shots]
        assert row.mean == pytest.approx(losses[0])
        if wild is not None:
            assert row.mean != pytest.approx(losses[1])


def test_presets_learn():
    """After a short training, meta_sgd and cavia adapt: their error falls well below a curve's."""
    _, li, zintgraf = protocols()
    short = [
        replace(
            p,
            methods=p.methods[1:2],
            settings=replace(
                p.settings,
                iterations=1500,
                chunk=500,
                train_shots=(10,),
                test_tasks=200,
                test_steps=(0, 1),
            ),
        )
        for p in (li, zintgraf)
    ]
    for protocol, runs in zip(short, train_all(tuple(short), seed=0, threads=2), strict=True):
        before, after = score(protocol, runs, seed=0, threads=1)
        assert after.mean < 0.8 * before.mean, protocol.paper


@pytest.mark.parametrize(
    ("published", "mean", "half", "said"),
    [
        (None, 0.5, 0.1, ""),
        (0.5, 0.45, 0.1, "reproduced"),
        (0.5, 0.404, 0.1, "reproduced"),
        (0.5, 0.39, 0.1, "better"),
        (0.5, 0.6, 0.1, "reproduced"),
        (0.5, 0.65, 0.1, "not reached"),
        (0.5, math.nan, math.nan, "not reached"),
    ],
)
def test_verdict(published, mean, half, said):
    assert Row("paper", "maml", 5, 1, published, mean, half, 0).verdict == said
