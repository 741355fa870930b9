"""The documentation is true: paths, links, parameters and code in it are right.

`pipeline/test_experiments.py` runs its commands.
"""

import re
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
CURRENT_PAGES = sorted(  # pages that describe the present state; the changelog also names what is gone
    path.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "docs/*.md", ".github/*.md")
    for path in ROOT.glob(pattern)
)
GIT_IGNORED = (  # written by the pipeline or by a user
    ".strokewise",
    "data/paintings",
    "data/model",
    "data/baseline",
    "data/report",
    "data/curve",
    "data/feedback",
    "data/outlines/house",
)
NO_PATHS = {"application/json", "tests/x/test_y.py", "src/strokewise/x/y.py"}  # a type, and placeholders
PATH = re.compile(r"\.?[\w-]+(/[\w.-]+)+/?|[\w-]+/|[\w-]+\.(py|yaml|toml|md)")


def read_page(page: str) -> str:
    """The text of a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def code_spans(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", read_page(page))


def test_readme_maps_every_folder_of_the_package() -> None:
    package = ROOT / "src" / "strokewise"
    folders = {path.parent.relative_to(package).as_posix() for path in package.glob("*/__init__.py")}
    table = (ROOT / "README.md").read_text().partition("## Where to find things")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `([\w/]+)/` \|", table, re.MULTILINE)) == sorted(folders)


def test_architecture_page_lists_folders_in_import_order() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text().partition("## Folders")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| \d \| (.*?) \|", table, re.MULTILINE)
    listed = [re.sub(r"(/|\.py)$", "", name) for row in rows for name in re.findall(r"`([\w/.]+)`", row)]
    rooms = (ROOT / "tests" / "test_architecture.py").read_text().partition("ROOMS = (\n")[2].partition("\n)\n")[0]
    assert listed == re.findall(r'"(\w+)"', rooms)


@pytest.mark.parametrize("page", CURRENT_PAGES)
def test_named_files_and_folders_exist(page: str) -> None:
    named = {span for span in code_spans(page) if PATH.fullmatch(span)} - NO_PATHS
    for path in named:
        exists = (ROOT / path).exists() or (ROOT / "src" / "strokewise" / path).exists()
        assert exists or path.startswith(GIT_IGNORED), f"{page} names {path}"


@pytest.mark.parametrize("page", [*CURRENT_PAGES, "CHANGELOG.md"])
def test_links_lead_to_existing_files(page: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", read_page(page)):
        assert ((ROOT / page).parent / link).is_file(), f"{page} links to {link}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)#:]+)\)", read_page("README.md")))
    assert {*CURRENT_PAGES, "CHANGELOG.md"} - {"README.md"} <= linked


@pytest.mark.parametrize("page", CURRENT_PAGES)
def test_named_parameters_exist(page: str) -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    for span in code_spans(page):
        for section, name in re.findall(rf"\b({'|'.join(params)})\.(\w+)\b(?!/|\.)", span):
            assert name in params[section] or name == "py", f"{page} names {section}.{name}"


def test_changelog_names_the_present_parameters() -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert len(rows) == 16
    for section, old, new in rows:
        assert new in params[section]
        assert old not in params[section]


@pytest.mark.parametrize("page", CURRENT_PAGES)
def test_python_examples_compile(page: str) -> None:
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
        compile(block, page, "exec")


def test_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert citation["version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_hooks_before_a_commit_run_what_make_lint_runs() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0].splitlines()[1]
    commands = {command.strip().removesuffix(" .") for command in recipe.strip().lstrip("@").split("&&")}
    (repository,) = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")["repos"]
    entries = {hook["entry"] for hook in repository["hooks"]}
    assert {command.replace("$(BIN)", ".venv/bin") for command in commands} == entries


def test_every_python_of_the_classifiers_is_tested() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = [name.rpartition(" ")[2] for name in classifiers if re.search(r"Python :: 3\.\d+$", name)]
    workflow = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "ci.yml")
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == named


def test_citation_is_a_valid_cff_file() -> None:
    """The required keys of Citation File Format 1.2.0, and the types of the others."""
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert all(isinstance(citation[key], str) for key in ("message", "title", "abstract", "version", "license"))
    assert all(author.keys() == {"name"} for author in citation["authors"])
