"""Experiments on the public API of fomaml_fast: published protocols, run end to end.

``sinusoid``
    Regression on sinusoids, the protocol of Finn et al. (2017).
``gapminder``
    Life expectancy of countries: adapt to an unseen country from a few observations.
``quadratic``
    One dimension: where the first-order meta-gradient points uphill.
``presets``
    The published sinusoid figures of the presets, reproduced side by side.
``command``, ``report``, ``intervals``
    What they share: the command line; the progress bar, tables and figures; the 95% interval.

In a clone, ``python -m examples`` runs the first three, ``python -m examples.sinusoid`` one of
them. They need the packages of the ``examples`` extra: ``pip install ".[examples]"``.
"""
