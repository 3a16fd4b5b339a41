"""The baselines of the life-expectancy experiment against slow, independent versions."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("plotly", reason="needs the examples extra")
pytest.importorskip("sklearn", reason="needs the examples extra")
pytest.importorskip("statsmodels", reason="needs the examples extra")
pytest.importorskip("matplotlib", reason="needs the examples extra")
pytest.importorskip("rich", reason="needs the examples extra")

from examples.gapminder import (
    data,
    protocol,
)
from examples.gapminder.baselines import (
    Gaussian,
    GaussianProcess,
    Line,
    MixedModel,
    ShiftedMean,
    gaussian,
)


@pytest.fixture(scope="module")
def table() -> data.LifeExpectancy:
    return data.load()


@pytest.fixture(scope="module")
def fold(table: data.LifeExpectancy) -> protocol.Fold:
    return protocol.folds(table.countries, 5, np.random.default_rng(0))[0]


@pytest.fixture(scope="module")
def mixed(table: data.LifeExpectancy, fold: protocol.Fold) -> MixedModel:
    return MixedModel.fit(table.years, table.values[fold.train])


@pytest.fixture(scope="module")
def process(table: data.LifeExpectancy, fold: protocol.Fold) -> GaussianProcess:
    return GaussianProcess.fit(table.years, table.values[fold.train])


def some_supports(n_tasks: int, k: int, n_years: int = 12, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(n_years, k, replace=False) for _ in range(n_tasks)])


@pytest.mark.parametrize("k", [2, 3, 6])
def test_line_is_polyfit(table: data.LifeExpectancy, k: int) -> None:
    columns = some_supports(30, k)
    given = table.values[np.arange(30)[:, None], columns]
    predicted = Line.fit(table.years, table.values).predict(columns, given)
    for c, y, p in zip(columns, given, predicted, strict=True):
        slope, level = np.polyfit(table.years[c] - 1980, y, 1)
        np.testing.assert_allclose(p, level + slope * (table.years - 1980), rtol=1e-10)


def test_line_through_one_observation_is_flat(table: data.LifeExpectancy) -> None:
    predicted = Line(table.years).predict(np.array([[4]]), np.array([[61.0]]))
    assert predicted.tolist() == [[61.0] * 12]


def test_shifted_mean_has_zero_mean_residual(table: data.LifeExpectancy) -> None:
    model = ShiftedMean.fit(table.years, table.values[20:])
    columns = some_supports(20, 3)
    given = table.values[np.arange(20)[:, None], columns]
    predicted = model.predict(columns, given)
    residual = np.take_along_axis(predicted, columns, axis=1) - given
    np.testing.assert_allclose(residual.mean(axis=1), 0, atol=1e-12)
    shape = np.broadcast_to(np.diff(table.values[20:].mean(axis=0)), (20, 11))
    np.testing.assert_allclose(np.diff(predicted), shape, rtol=1e-10)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_gaussian_is_the_conditional_mean_by_explicit_inverse(
    table: data.LifeExpectancy, k: int
) -> None:
    train, noise, rho = table.values[20:], 0.3, 0.1
    model = Gaussian.estimate(train, rho, noise)
    columns = some_supports(20, k)
    given = table.values[np.arange(20)[:, None], columns]
    predicted = model.predict(columns, given)
    mean = train.mean(axis=0)
    S = (train - mean).T @ (train - mean) / (len(train) - 1)
    sigma = np.where(np.eye(12, dtype=bool), S, (1 - rho) * S)
    for c, y, p in zip(columns, given, predicted, strict=True):
        H = np.eye(12)[c]  # picks what is observed
        gain = sigma @ H.T @ np.linalg.inv(H @ sigma @ H.T + noise * np.eye(k))
        np.testing.assert_allclose(p, mean + gain @ (y - mean[c]), rtol=1e-9)


def test_gaussian_hyperparameters_are_the_best_of_the_grid(table: data.LifeExpectancy) -> None:
    train = table.values[:60]
    rho, noise = gaussian.choose(train)
    rng = np.random.default_rng(gaussian.INNER_SEED)
    part = rng.permutation(60) % gaussian.INNER_FOLDS
    order = protocol.support_orders(60, gaussian.INNER_DRAWS, 12, rng)

    def error(rho: float, noise: float) -> float:
        total = 0.0
        for i in range(60):
            model = Gaussian.estimate(train[part != part[i]], rho, noise)
            for o in order[i]:
                p = model.predict(o[None, :3], train[i, o[None, :3]])[0]
                total += np.sqrt(np.mean((p[o[3:]] - train[i, o[3:]]) ** 2))
        return total

    best = error(rho, noise)
    neighbours = [(0.1, noise), (rho, 3.0), (0.3, 0.01)]
    assert all(best <= error(*pair) + 1e-9 for pair in neighbours)


def test_blup_is_direct_generalised_least_squares(
    table: data.LifeExpectancy, fold: protocol.Fold, mixed: MixedModel
) -> None:
    """Henderson's mixed-model equations give û by another road: no V is inverted."""
    columns = some_supports(len(fold.test), 3)
    given = np.take_along_axis(table.values[fold.test], columns, axis=1)
    predicted = mixed.predict(columns, given)
    t = (table.years - 1979.5) / 10
    X = np.stack([np.ones(12), t], axis=1)
    for c, y, p in zip(columns, given, predicted, strict=True):
        Z = X[c]
        left = Z.T @ Z / mixed.noise + np.linalg.inv(mixed.psi)
        u = np.linalg.solve(left, Z.T @ (y - Z @ mixed.beta) / mixed.noise)
        np.testing.assert_allclose(p, X @ (mixed.beta + u), rtol=1e-8)


def test_blup_of_training_countries_is_statsmodels_own(
    table: data.LifeExpectancy, fold: protocol.Fold, mixed: MixedModel
) -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    values = table.values[fold.train]
    t = np.tile((table.years - 1979.5) / 10, len(values))
    X = np.stack([np.ones_like(t), t], axis=1)
    country = np.repeat(np.arange(len(values)), 12)
    theirs = MixedLM(values.ravel(), X, groups=country, exog_re=X).fit().random_effects
    all_columns = np.broadcast_to(np.arange(12), values.shape)
    ours = mixed.random_effects(all_columns, values)
    np.testing.assert_allclose(
        ours, [np.asarray(theirs[i]) for i in range(len(values))], rtol=1e-6, atol=1e-6
    )


def test_mixed_model_likelihood_is_at_a_maximum(
    table: data.LifeExpectancy, fold: protocol.Fold, mixed: MixedModel
) -> None:
    """The restricted likelihood, written out, falls when a variance parameter is moved."""
    values, X = table.values[fold.train], mixed.design

    def reml(psi: np.ndarray, noise: float) -> float:
        V = X @ psi @ X.T + noise * np.eye(12)
        inverse = np.linalg.inv(V)
        information = len(values) * X.T @ inverse @ X
        beta = np.linalg.solve(information, X.T @ inverse @ values.sum(axis=0))
        residual = values - X @ beta
        quadratic = np.einsum("ni,ij,nj->", residual, inverse, residual)
        logdet = len(values) * np.linalg.slogdet(V)[1] + np.linalg.slogdet(information)[1]
        return float(-0.5 * (logdet + quadratic))

    best = reml(mixed.psi, mixed.noise)
    for factor in (0.9, 1.1):
        assert reml(mixed.psi, mixed.noise * factor) < best
        assert reml(mixed.psi * factor, mixed.noise) < best


# Error bars


@pytest.mark.parametrize("k", [1, 3, 6])
def test_gaussian_deviation_is_that_of_the_partitioned_covariance(
    table: data.LifeExpectancy, k: int
) -> None:
    """Of n years and n noisy ones, the Schur complement in the joint precision's inverse."""
    model = Gaussian.estimate(table.values[20:], 0.1, 0.3)
    columns = some_supports(10, k)
    given = table.values[np.arange(10)[:, None], columns]
    mean, deviation = model.predictive(columns, given)
    np.testing.assert_array_equal(mean, model.predict(columns, given))
    for c, row in zip(columns, deviation, strict=True):
        precision = np.linalg.inv(model.covariance)
        precision[c, c] += 1 / model.noise  # an observation adds its own
        variance = np.diag(np.linalg.inv(precision)) + model.noise
        np.testing.assert_allclose(row, np.sqrt(variance), rtol=1e-8)


def test_mixed_model_deviation_is_hendersons(
    table: data.LifeExpectancy, fold: protocol.Fold, mixed: MixedModel
) -> None:
    columns = some_supports(len(fold.test), 3)
    given = np.take_along_axis(table.values[fold.test], columns, axis=1)
    mean, deviation = mixed.predictive(columns, given)
    np.testing.assert_allclose(mean, mixed.predict(columns, given), rtol=1e-10)
    X = mixed.design
    for c, row in zip(columns, deviation, strict=True):
        C = np.linalg.inv(X[c].T @ X[c] / mixed.noise + np.linalg.inv(mixed.psi))
        variance = np.einsum("ni,ij,nj->n", X, C, X) + mixed.noise
        np.testing.assert_allclose(row, np.sqrt(variance), rtol=1e-8)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_process_is_scikit_learns_own(
    table: data.LifeExpectancy, fold: protocol.Fold, process: GaussianProcess, k: int
) -> None:
    columns = some_supports(len(fold.test), k)
    given = np.take_along_axis(table.values[fold.test], columns, axis=1)
    mean, deviation = process.predictive(columns, given)
    for row in range(8):
        theirs = process.between(columns[row], given[row], table.years)
        np.testing.assert_allclose(mean[row], theirs[0], rtol=1e-8)
        np.testing.assert_allclose(deviation[row], theirs[1], rtol=1e-6)


def test_process_maximises_the_sum_of_the_countries_likelihoods(
    table: data.LifeExpectancy, fold: protocol.Fold, process: GaussianProcess
) -> None:
    from scipy.stats import multivariate_normal

    values, t = table.values[fold.train], (table.years - 1979.5)[:, None] / 10
    best = process.kernel.theta

    def likelihood(theta: np.ndarray) -> float:
        covariance = process.kernel.clone_with_theta(theta)(t)
        return float(multivariate_normal(values.mean(axis=0), covariance).logpdf(values).sum())

    assert len(best) == 5
    for step in 0.05 * np.vstack([np.eye(5), -np.eye(5)]):
        assert likelihood(best + step) < likelihood(best)
