"""The files that a new project begins with: outlines, parameters, pipeline, and what git and DVC ignore.

A checkout has them at its root, an installed wheel in `strokewise/template`, where the build has copied them.
"""

from pathlib import Path

TEMPLATE_NAME = "template"  # the folder in the wheel
PROJECT_PATTERNS = (
    "dvc.yaml",
    "params.yaml",
    ".params.schema.json",
    ".dvcignore",
    ".gitignore",
    ".dvc/config",
    "data/drawings/README.md",
    "data/drawings-train/README.md",
    "data/outlines/*/*.svg",
)


def template_dir() -> Path:
    """The folder below which the files of a new project lie. Raises FileNotFoundError if this installation has none."""
    package = Path(__file__).parents[1]
    for folder in (package / TEMPLATE_NAME, package.parents[1]):
        if (folder / "dvc.yaml").is_file():
            return folder
    raise FileNotFoundError(f"neither {package / TEMPLATE_NAME} nor a checkout holds the files of a new project")


def project_files(folder: Path) -> list[Path]:
    """The files below `folder` that a new project begins with, relative to it, sorted.

    Raises FileNotFoundError if one of `PROJECT_PATTERNS` has no file.
    """
    found: list[Path] = []
    for pattern in PROJECT_PATTERNS:
        paths = [path.relative_to(folder) for path in folder.glob(pattern)]
        if not paths:
            raise FileNotFoundError(f"no {pattern} in {folder}")
        found += paths
    return sorted(found)
