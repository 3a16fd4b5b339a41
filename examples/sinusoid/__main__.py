"""``python -m examples.sinusoid``."""

from examples.command import main

if __name__ == "__main__":
    raise SystemExit(main(experiment="sinusoid"))
