"""A curve a task: learned starts of implicit representations (Tancik et al. 2021).

``waves``
    Waveforms of one kind, such as heartbeats, and batches of them.
``experiment``, ``plots``
    A sinusoidal network learns to start from what these curves have in common; how well it then
    draws a new one from a few points, beside a fresh network and straight lines between the points.
"""
