"""Every public name is documented in numpydoc, and every example in a docstring runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import examples
import fomaml_fast as ff


def modules():
    """Modules of the package and of the examples; those of an extra where it is installed."""
    names = [ff.__name__]
    names += [m.name for m in pkgutil.walk_packages(ff.__path__, "fomaml_fast.")]
    names += [m.name for m in pkgutil.walk_packages(examples.__path__, "examples.")]
    return [name for name in names if not name.endswith("__main__") and "._core_" not in name]


@pytest.mark.parametrize("name", modules())
def test_doctests(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("fomaml_fast"):
            raise
        pytest.skip(f"needs {error.name}")
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def public_objects():
    """Public functions and classes with their public methods, by dotted name."""
    found = {}
    for name in ff.__all__:
        value = getattr(ff, name)
        if inspect.ismodule(value):
            listed = getattr(value, "__all__", None) or [
                n
                for n, v in vars(value).items()
                if not n.startswith("_") and getattr(v, "__module__", None) == value.__name__
            ]
            members = {n: getattr(value, n) for n in listed}
            assert inspect.getdoc(value), name
        else:
            members = {None: value}
        for member, value_ in members.items():
            dotted = name if member is None else f"{name}.{member}"
            if inspect.isclass(value_) or inspect.isroutine(value_):
                found[dotted] = value_
            if inspect.isclass(value_):
                for method, function in vars(value_).items():
                    if not method.startswith("_") and inspect.isfunction(function):
                        found[f"{dotted}.{method}"] = function
    return found


RESULTS = (
    *(ff.Evaluation, ff.MetricValues, ff.EnginePlan, ff.Plan, ff.Posterior),
    *(ff.Ensemble, ff.EnsembleEvaluation),
    ff.metrics.Metric,
)


def is_constructed_by_users(value):
    """Whether a class is neither a result, whose fields users read, nor an abstract base."""
    is_result = hasattr(value, "_fields") or value in RESULTS
    return not is_result and not inspect.getdoc(value).startswith("Base of")


PUBLIC = public_objects()


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_name_every_parameter(name):
    value = PUBLIC[name]
    doc = inspect.getdoc(value)
    assert doc, "no docstring"
    assert doc.splitlines()[0].endswith("."), "the first line is a sentence"
    try:
        parameters = list(inspect.signature(value).parameters)
    except ValueError:
        return
    parameters = [p for p in parameters if p not in {"self", "cls", "args", "kwargs"}]
    if inspect.isclass(value) and not is_constructed_by_users(value):
        assert all(parameter in doc + inspect.getsource(value) for parameter in parameters)
    elif parameters:
        assert "Parameters\n----------" in doc
        section = doc.split("Parameters\n----------")[1]
        for parameter in parameters:
            assert parameter in section.replace("*", ""), parameter


@pytest.mark.parametrize("name", [n for n, v in PUBLIC.items() if inspect.isfunction(v)])
def test_functions_have_examples_and_returns(name):
    doc = inspect.getdoc(PUBLIC[name])
    assert "Returns\n-------" in doc
    is_method = "." in PUBLIC[name].__qualname__  # the example of a method may be its class's
    assert is_method or ">>> " in doc
