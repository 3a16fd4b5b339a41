"""Settings shared by every test."""

from hypothesis import settings

# The same examples in every run: a failure here must be one that anybody can repeat.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("repeatable")
