"""``python -m examples.curves``."""

from examples.command import main

if __name__ == "__main__":
    raise SystemExit(main(experiment="curves"))
