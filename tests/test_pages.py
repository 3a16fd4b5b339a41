"""The pages of docs/ as a whole: index, tables and their commands, options and variables."""

import re
import shlex
from pathlib import Path

import pytest

from fomaml_fast._loader import choose_isa
from test_readme import FENCE, PAGES, ROOT, check

DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="docs/ is not part of this copy")

#: Commands between the backquotes of a sentence.
INLINE = re.compile(r"`((?:python -m|pytest|\./dev|fomaml-fast) [^`\n]+)`")


def read(path):
    return path.read_text(encoding="utf-8")


def test_the_index_lists_every_page():
    listed = re.findall(r"\]\(([^)#]+)\)", read(DOCS / "index.md"))
    pages = {page.resolve() for page in PAGES if page.exists()} - {(DOCS / "index.md").resolve()}
    assert pages <= {(DOCS / target).resolve() for target in listed}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_sentences_exist(page):
    if not page.exists():
        pytest.skip("not part of this copy")
    for command in INLINE.findall(FENCE.sub("", read(page))):
        if "<" not in command:
            check(shlex.split(command))


def test_every_section_of_the_measurements_names_its_command():
    _, *sections = re.split(r"^## ", read(DOCS / "measurements.md"), flags=re.MULTILINE)
    assert len(sections) > 5
    for section in sections:
        title, body = section.split("\n", 1)
        assert body.lstrip().startswith("```sh\n"), title


def test_every_entry_of_the_notebook_has_its_day():
    titles = re.findall(r"^## (.+)$", read(DOCS / "notebook.md"), re.MULTILINE)
    dated = [title for title in titles if re.match(r"\d{1,2} [A-Z][a-z]+ \d{4}: ", title)]
    assert len(dated) > 5
    assert set(titles) - set(dated) <= {"Not built"}


def build_options():
    """Name and default of every option of CMakeLists.txt."""
    text = read(ROOT / "CMakeLists.txt")
    cached = re.findall(r'^set\((FOMAML_FAST_\w+) "(.*?)" CACHE STRING', text, re.MULTILINE)
    switches = re.findall(r'^option\((FOMAML_FAST_\w+) ".*?" (ON|OFF)\)', text, re.MULTILINE)
    return dict(cached + switches)


def test_the_install_page_lists_every_build_option_with_its_default():
    rows = re.findall(
        r"^\| `(FOMAML_FAST_\w+)` \| (?:`(\w*)`)? ?\|", read(DOCS / "install.md"), re.M
    )
    options = build_options()
    assert len(options) > 5
    assert dict(rows) == options


def test_the_loader_names_an_option_of_the_build_and_the_page_about_it():
    with pytest.raises(ImportError) as caught:
        choose_isa((), ("x86_64_v2", "generic"), None)
    (option,) = re.findall(r"cmake\.define\.(\w+)=", str(caught.value))
    assert option in build_options()
    assert "docs/install.md" in str(caught.value)
    assert option in read(DOCS / "install.md")


def sources():
    for folder, pattern in (
        ("cpp/src", "*.[ch]pp"),
        ("cpp/bindings", "*.[ch]pp"),
        ("python", "*.py"),
    ):
        yield from (ROOT / folder).rglob(pattern)


def test_the_install_page_lists_every_environment_variable():
    variable = re.compile(
        r'(?:getenv|from_environment)\("(\w+)"|^\w+_VARIABLE = "(\w+)"', re.MULTILINE
    )
    found = {a or b for path in sources() for a, b in variable.findall(read(path))}
    assert len(found) >= 4
    page = read(DOCS / "install.md")
    section = page.split("## Environment variables\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == found


def test_comments_name_pages_that_exist():
    named = {
        (path, page)
        for path in [*sources(), *Path(ROOT / "benchmarks").glob("*.py")]
        for page in re.findall(r"docs/\w+\.md", read(path))
    }
    assert named
    assert [str(path) for path, page in named if not (ROOT / page).exists()] == []
