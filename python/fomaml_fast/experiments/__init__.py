"""The experiments behind ``fomaml-fast demo``: published protocols, run end to end.

``sinusoid``
    Regression on sinusoids, the protocol of Finn et al. (2017).
``gapminder``
    Life expectancy of countries: adapt to an unseen country from a few observations.
``quadratic``
    One dimension: where the first-order meta-gradient points uphill.
``presets``
    The published sinusoid figures of the presets, reproduced side by side.
``report``
    The shared progress bar, tables and figures.

They need the packages of the ``demo`` extra: ``pip install ".[demo]"``. Nothing is
imported here, so that the library itself never depends on them.
"""
