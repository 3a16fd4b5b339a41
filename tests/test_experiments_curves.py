"""The example of a curve a task: its waves, its baselines, and a run from end to end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import fomaml_fast as ff
from examples.curves import experiment, waves

SMALL = dataclasses.replace(experiment.Settings(), iterations=150, test_curves=40)


def test_waves_are_bumps():
    x, y = waves.draw(np.random.default_rng(0), 400)
    assert x.shape == y.shape == (400, waves.SAMPLES, 1)
    np.testing.assert_allclose(x[3, :, 0], np.linspace(-1, 1, waves.SAMPLES), atol=1e-7)
    mean = y.mean(0)[:, 0]
    assert abs(x[0, mean.argmax(), 0]) < 0.05
    tall = y[:, :, 0].max(1)
    assert np.log(tall).std() == pytest.approx(waves.SCALE, abs=0.06)


def test_tasks_show_some_points_and_ask_for_all():
    tasks = waves.batch(np.random.default_rng(1), 5, 16)
    for t in range(5):
        x, y = tasks.x_support[t][:, 0], tasks.y_support[t][:, 0]
        assert (np.diff(x) > 0).all()
        places = np.searchsorted(tasks.x_query[t][:, 0], x)
        np.testing.assert_array_equal(y, tasks.y_query[t][places, 0])


def test_straight_lines_go_through_the_points():
    tasks = waves.batch(np.random.default_rng(1), 4, waves.SAMPLES)
    lines = experiment.straight_lines(tasks)
    np.testing.assert_array_equal(lines, tasks.y_query)
    assert not experiment.lines_error(tasks, lines).any()


def test_errors_are_of_adapted_networks():
    net, tasks = SMALL.network(), waves.batch(np.random.default_rng(1), 4, 16)
    theta, algorithm = net.init(0, scheme="siren"), ff.maml(0.01)
    found = experiment.errors_after(net, theta, tasks, algorithm, (0, 3), None)
    adapted = ff.adapt(net, theta, tasks.x_support, tasks.y_support, algorithm, steps=3)
    error = net.predict(adapted, tasks.x_query) - tasks.y_query
    np.testing.assert_allclose(found[3], np.sqrt((error**2).mean((1, 2))), rtol=1e-5)


def test_a_short_training_beats_a_fresh_network(tmp_path, capsys):
    """0.13 against 0.18 of a network at its best step and rate, far outside both intervals."""
    found = experiment.run(tmp_path, settings=SMALL)
    by_name = {(row.name, row.steps): row for row in found.rows}
    learned, fresh = by_name["learned start", 2], found.rows[-2]
    assert fresh.name == "fresh network"
    assert learned.mean + learned.half < fresh.mean - fresh.half
    assert len(found.summary) == 3
    assert f"{learned.mean:.3f}" in capsys.readouterr().out


def test_the_seed_decides():
    runs = [experiment.train(SMALL.quick(), seed=seed, threads=n) for seed, n in ((0, 1), (0, 2))]
    np.testing.assert_array_equal(*runs)
