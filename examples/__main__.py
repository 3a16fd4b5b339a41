"""``python -m examples``: the main experiments, or the one that is named."""

from examples.command import main

if __name__ == "__main__":
    raise SystemExit(main())
