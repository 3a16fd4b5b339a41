"""The version: the only place that states it (the build and the C++ core read this line)."""

__version__ = "0.1.0"
