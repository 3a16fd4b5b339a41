"""The published sinusoid figures of the presets, reproduced side by side.

``protocols``
    Every paper's protocol, what it is run with, and its published figures.
``experiment``
    Train, test, and compare.
"""
