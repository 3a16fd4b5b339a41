"""Weights and masks of outputs as arguments: what is refused, checked, kept, pickled and taken."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from test_output_masks import known_of, stacks
from test_row_weights import LR, STEPS, net_of


def test_what_is_masked_does_not_reach_the_result():
    known = known_of("ragged")
    net, algorithm = net_of(known.case), ff.maml(LR, STEPS)
    before = ff.meta_grad(net, known.case.theta, known.batch(stack=False), algorithm).grad
    for sets in known.sets:
        for x, y, w, mask in sets:
            x[~mask.any(axis=1)], y[~mask], w[~mask] = -3.0, 1e300, np.inf
    after = ff.meta_grad(net, known.case.theta, known.batch(stack=False), algorithm).grad
    np.testing.assert_array_equal(after, before)
    loose = known.batch(stack=False, check_finite=False)
    after = ff.meta_grad(net, known.case.theta, loose, algorithm, check_finite=False).grad
    np.testing.assert_array_equal(after, before)


def test_pickling_and_taking_keep_what_is_known():
    for name in ("small", "ragged"):
        known = known_of(name)
        net, batch = net_of(known.case), known.batch(stack=stacks(name))
        algorithm = ff.maml(LR, STEPS)
        whole = ff.meta_grad(net, known.case.theta, batch, algorithm, per_task=True)
        restored = pickle.loads(pickle.dumps(batch))
        again = ff.meta_grad(net, known.case.theta, restored, algorithm)
        np.testing.assert_array_equal(again.grad, whole.grad)
        part = ff.meta_grad(net, known.case.theta, batch.take([4, 1]), algorithm, per_task=True)
        np.testing.assert_allclose(part.task_grads, whole.task_grads[[4, 1]], rtol=1e-11)
        for t, (_, y, weights, mask) in enumerate(known.sets[0]):
            kept = mask.any(axis=1)
            np.testing.assert_array_equal(batch.mask_support[t], mask[kept])
            np.testing.assert_array_equal(batch.y_support[t], np.where(mask, y, 0)[kept])
            weights = np.where(mask, weights, 0)[kept]
            np.testing.assert_array_equal(batch.weights_support[t], weights)


def test_what_is_known_is_checked_where_it_stands():
    known = known_of("small")
    x, y, weights, mask = (a.copy() for a in known.sets[0][0])
    net, theta = net_of(known.case), known.case.theta
    row, output = np.argwhere(mask)[-1]
    for name, array in {"y": y, "weights": weights}.items():
        saved, array[row, output] = array[row, output], np.nan
        with pytest.raises(ValueError, match=rf"{name}\[{row}, {output}\] is nan"):
            net.loss(theta, x, y, weights=weights, mask=mask)
        array[row, output] = saved
    x[row, 1] = np.inf
    with pytest.raises(ValueError, match=rf"x\[{row}, 1\] is inf"):
        net.loss(theta, x, y, weights=weights, mask=mask)
    mask[:] = False
    with pytest.raises(ValueError, match="mask must leave at least one target a task; task 0"):
        net.loss(theta, x, y, mask=mask)
    with pytest.raises(ValueError, match=r"y\[0, 0\] is nan; a mask leaves out targets"):
        net.loss(theta, np.zeros((2, 3)), np.full((2, 2), np.nan))


def test_losses_that_are_no_mean_over_outputs_refuse_them():
    x, y = np.zeros((2, 3, 2)), np.full((2, 3, 4), 0.25)
    ones = {"mask": np.ones(y.shape, bool), "weights": np.ones(y.shape)}
    for name in ff.losses.names():
        net = ff.MLP([2, 4], loss=name)
        theta, takes = net.init(0, np.float64), ff.losses.get(name).averages_outputs
        for argument, value in ones.items():
            batch = ff.TaskBatch(x, y, x, y, **{f"{argument}_query": value})
            calls = [
                lambda net=net, theta=theta, extra={argument: value}: net.loss(
                    theta, x, y, **extra
                ),
                lambda net=net, theta=theta, batch=batch: ff.meta_grad(
                    net, theta, batch, ff.fomaml()
                ),
            ]
            for call in calls:
                if takes:
                    call()
                    continue
                with pytest.raises(ValueError, match=f"{argument}.* of each output needs a loss"):
                    call()
    labels = np.zeros((2, 3), int)
    with pytest.raises(
        ValueError, match=r"mask_query must have shape \[2, 3\] where y_query holds labels"
    ):
        ff.TaskBatch(x, labels, x, labels, mask_query=ones["mask"])


def test_the_loss_says_whether_it_is_a_mean_over_outputs():
    """The fact that the engines rely on, against the oracle's losses."""
    rng = np.random.default_rng(0)
    o, y = rng.normal(size=(3, 4)), rng.random((3, 4))
    for name in ff.losses.names():
        if ff.losses.get(name).takes_labels:
            assert not ff.losses.get(name).averages_outputs
            continue
        of = oracle.losses.LOSSES[name].value
        parts = np.mean([of(o[:, [j]], y[:, [j]]) for j in range(4)])
        assert ff.losses.get(name).averages_outputs == bool(np.isclose(of(o, y), parts))


def test_custom_losses_keep_masks_in_their_targets():
    def fn(outputs, targets):
        error = outputs - targets
        return (error**2).sum(axis=(1, 2)), 2 * error

    x, y = np.zeros((2, 3, 2)), np.zeros((2, 3, 4))
    net = ff.MLP([2, 4], loss=ff.losses.Custom(fn))
    theta, mask = net.init(0, np.float64), np.ones(y.shape, bool)
    batch = ff.TaskBatch(x, y, x, y, mask_query=mask)
    with pytest.raises(ValueError, match="mask_query of each output goes into the targets"):
        ff.meta_grad(net, theta, batch, ff.fomaml())
    with pytest.raises(ValueError, match="mask of each output goes into the targets"):
        ff.adapt(net, theta, x, y, ff.fomaml(), mask=mask)


def test_masks_of_lists_have_one_shape():
    x, y = [np.zeros((3, 2)), np.zeros((2, 2))], [np.zeros((3, 4)), np.zeros((2, 4))]
    net = ff.MLP([2, 4])
    theta = net.init(0, np.float64)
    mask = [np.ones((3, 4), bool), np.ones((2, 4), bool)]
    assert net.loss(theta, x, y, mask=mask).shape == (2,)
    with pytest.raises(ValueError, match=r"mask\[1\] must have shape \[2, 4\], got \[2\]"):
        net.loss(theta, x, y, mask=[mask[0], mask[1][:, 0]])
    with pytest.raises(ValueError, match=r"mask\[1\] must have shape \[2\], got \[2, 4\]"):
        net.loss(theta, x, y, mask=[mask[0][:, 0], mask[1]])
    with pytest.raises(ValueError, match=r"mask must be a list of one array a task"):
        net.loss(theta, x, y, mask=np.ones((2, 3, 4), bool))
