"""CONTRIBUTING's recipe for a sampler, followed: one file, one line, and the tests cover it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import fomaml_fast as ff

ROOT = Path(__file__).parents[1]
LINE = "from fomaml_fast.samplers.swirl import Swirl as Swirl\n"


def test_one_file_and_one_line_make_a_sampler(tmp_path):
    recipe = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert LINE.strip() in " ".join(recipe.split())
    package = tmp_path / "fomaml_fast"
    shutil.copytree(Path(ff.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "toy" / "swirl.py", package / "samplers")
    registry = package / "samplers" / "__init__.py"
    text = registry.read_text(encoding="utf-8")
    registry.write_text(
        re.sub(r"(?m)^from fomaml_fast.samplers.splits", LINE + r"\g<0>", text, count=1),
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "-k", "swirl"),
            ROOT / "tests" / "test_samplers.py",
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "test_contract[swirl]" in done.stdout
    assert "test_support_and_query_are_other_rows[swirl]" in done.stdout
