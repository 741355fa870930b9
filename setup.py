"""What pyproject.toml cannot say: a new project's files go into the wheel, and the README's links become absolute.

`strokewise init` lays out the outlines, the parameters and the pipeline of this checkout. They stand in git once, at
the root; the wheel holds them in `strokewise/template`. An editable install reads them where they are.
"""

import re
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "src"))
from strokewise.support import resources  # noqa: E402  # the source beside this file


class BuildWithTemplate(build_py):
    """Copies the files of a new project, too."""

    def run(self) -> None:
        """Build the package, and its template unless this is an editable install."""
        super().run()
        if not self.editable_mode:
            for target, source in self._template().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target, preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """The files that the wheel gets."""
        return [*super().get_outputs(include_bytecode), *(() if self.editable_mode else self._template())]

    def get_source_files(self) -> list[str]:
        """The files that a source distribution gets."""
        return [*super().get_source_files(), *self._template().values()]

    def _template(self) -> dict[str, str]:
        """Where each file goes: its source, both relative to the root."""
        target = Path(self.build_lib, "strokewise", resources.TEMPLATE_NAME)
        return {str(target / name): str(name) for name in resources.project_files(ROOT)}


def absolute_links(text: str, repository: str, revision: str) -> str:
    """Markdown with its relative links and pictures pointing into the repository: a package page has no files."""
    raw = repository.replace("//github.com/", "//raw.githubusercontent.com/")
    text = re.sub(r"(!\[[^\]]*\]\()(?![a-z]+:|#)", rf"\g<1>{raw}/{revision}/", text)
    return re.sub(r"((?<!!)\[[^\]]*\]\()(?![a-z]+:|#)", rf"\g<1>{repository}/blob/{revision}/", text)


if __name__ == "__main__":
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    setup(
        cmdclass={"build_py": BuildWithTemplate},
        long_description=absolute_links(readme, project["urls"]["Homepage"], f"v{project['version']}"),
        long_description_content_type="text/markdown",
    )
