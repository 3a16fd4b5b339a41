"""What README.md and docs/ show is run: Python as written, shell commands as far as is quick."""

import contextlib
import io
import json
import re
import shlex
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from examples import command
from fomaml_fast import cli

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

FENCE = re.compile(r"^```(?P<kind>[\w+-]*)[^\n]*\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

#: Programs of the system: that they are called is all that is checked.
SYSTEM = {"cd", "git", "pip", "python3", "sudo"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    kind: str
    text: str
    line: int  # of the fence

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page):
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, match["kind"], match["text"], text.count("\n", 0, match.start()) + 1)
        for match in FENCE.finditer(text)
    ]


def commands(block):
    """Command lines of a shell block; of a console block, what follows the prompt."""
    text = block.text.replace("\\\n", " ")
    if block.kind == "console":
        lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    else:
        lines = text.splitlines()
    split = [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
    return [words for words in split if words]


def tasks():
    """Tasks that ./dev lists."""
    return set(re.findall(r"^#: (\w+)", (ROOT / "dev").read_text(encoding="utf-8"), re.MULTILINE))


def check(words):
    """Assert that a command of the documentation exists with the options it is shown with."""
    words = [word for word in words if not re.match(r"[A-Z_]+=", word)]
    program, arguments = words[0], words[1:]
    if program == "./dev":
        assert not arguments or arguments[0] in tasks()
        if arguments[:1] == ["ctest"]:
            presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))
            assert set(arguments[1:]) <= {preset["name"] for preset in presets["testPresets"]}
        if arguments[:1] == ["demo"]:
            command._parser(None).parse_args(arguments[1:])
    elif program == "fomaml-fast":
        run_or_parse(arguments)
    elif program.startswith("python") and re.match(r"-m examples\b", " ".join(arguments)):
        command._parser(arguments[1].partition(".")[2] or None).parse_args(arguments[2:])
        assert (ROOT / arguments[1].replace(".", "/") / "__main__.py").exists()
    elif program in {"python", "python3"} and arguments[:1] == ["-m"]:
        module = arguments[1]
        if (ROOT / module.split(".")[0]).is_dir():
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), module
        else:
            check(["fomaml-fast" if module == "fomaml_fast" else module, *arguments[2:]])
    elif program == "pytest" or program.startswith("."):
        for argument in [program, *arguments]:
            if "/" in argument and not argument.startswith("-"):
                assert (ROOT / argument.split("::")[0]).exists(), argument
    elif program == "cmake" and "--preset" in arguments:
        assert f'"name": "{arguments[arguments.index("--preset") + 1]}"' in (
            ROOT / "CMakePresets.json"
        ).read_text(encoding="utf-8")
    else:
        assert program in SYSTEM, f"no way known to check {program!r}"


def run_or_parse(arguments):
    """The demo has tests of its own: here its options are parsed. All else is run."""
    if arguments[:1] == ["demo"]:
        cli._parser().parse_args(arguments)
        return
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert cli.main(arguments) == 0
    assert output.getvalue()


ALL = [block for page in PAGES if page.exists() for block in blocks(page)]
SHELL = [block for block in ALL if block.kind in {"sh", "bash", "console"}]
PYTHON_PAGES = sorted({block.page for block in ALL if block.kind == "python"})


def test_readme_shows_the_two_commands_and_some_python():
    shown = [
        words for block in SHELL if block.page.name == "README.md" for words in commands(block)
    ]
    assert ["./dev", "demo"] in shown
    assert ["./dev", "test"] in shown
    assert ROOT / "README.md" in PYTHON_PAGES


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_python_runs(page, tmp_path, monkeypatch):
    # A page is read from top to bottom: its blocks share their names.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = {"__name__": "__main__"}
    inside = [block for block in ALL if block.page == page]
    for block, following in zip(inside, [*inside[1:], None], strict=True):
        if block.kind == "python":
            padded = "\n" * block.line + block.text  # so that an error names the page's line
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(padded, str(page), "exec"), names)
            if following is not None and is_output(block, following):
                assert without_decimals(output.getvalue()) == without_decimals(following.text)


def is_output(block, following):
    """Whether a block without a language stands right below one of Python: what that prints."""
    end = block.line + block.text.count("\n") + 1  # the line of the closing fence
    return following.kind == "" and following.line == end + 2


def without_decimals(text):
    """Text whose decimals, which differ from processor to processor, are gone."""
    return re.sub(r"\d+\.\d+", "#", text)


def test_the_readme_shows_what_its_first_example_prints():
    first = next(block for block in ALL if block.kind == "python")
    following = ALL[ALL.index(first) + 1]
    assert is_output(first, following)
    before, after, *_ = (float(value) for value in re.findall(r"(\d\.\d+) ±", following.text))
    assert after < before / 4


def guide_sections():
    """Python of every section of the guide, padded to its line in the page."""
    text = GUIDE.read_text(encoding="utf-8")
    starts = [0, *(m.start() for m in re.finditer(r"^## ", text, re.MULTILINE)), len(text)]
    lines = [text.count("\n", 0, start) + 1 for start in starts]
    python = [block for block in ALL if block.page == GUIDE and block.kind == "python"]
    for first, end in pairwise(lines):
        inside = [block for block in python if first <= block.line < end]
        if inside:
            yield ["\n" * block.line + block.text for block in inside]


def test_sections_of_the_guide_need_its_first_one_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, *others = guide_sections()
    assert len(others) > 10
    for section in others:
        names = {"__name__": "__main__"}
        with contextlib.redirect_stdout(io.StringIO()):
            for text in [*first, *section]:
                exec(compile(text, str(GUIDE), "exec"), names)


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_exist(block):
    found = commands(block)
    assert found, "a shell block without a command"
    for words in found:
        check(words)


def anchors(page):
    """Names that a page's headings have in links, by GitHub's rule."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        for title in HEADING.findall(text)
    }


def leads_somewhere(page, target, anchor):
    found = page.parent / target if target else page
    return found.exists() and (not anchor or anchor in anchors(found))


def test_links_lead_somewhere():
    links = [
        (page, target, anchor)
        for page in PAGES
        if page.exists()
        for target, anchor in LINK.findall(page.read_text(encoding="utf-8"))
    ]
    assert any(anchor for _, _, anchor in links)
    broken = [
        (str(page.relative_to(ROOT)), *rest)
        for page, *rest in links
        if not leads_somewhere(page, *rest)
    ]
    assert broken == []


def test_the_check_catches_broken_links():
    assert not leads_somewhere(GUIDE, "no_such_page.md", "")
    assert not leads_somewhere(GUIDE, "", "no-such-heading")
    assert leads_somewhere(ROOT / "README.md", "docs/guide.md", "train")


@pytest.mark.parametrize(
    "line",
    [
        "./dev dance",
        "./dev demo --no-such-option",
        "fomaml-fast demo --no-such-option",
        "python -m examples.none",
        "python -m examples none",
        "pytest tests/none.py",
        "rm -rf x",
    ],
)
def test_the_check_catches_what_does_not_exist(line):
    with pytest.raises((AssertionError, SystemExit)), contextlib.redirect_stderr(io.StringIO()):
        check(shlex.split(line))
