"""``python -m fomaml_fast``: the command line."""

from fomaml_fast.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
