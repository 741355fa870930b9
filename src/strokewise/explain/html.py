"""Templates of the package and values → the HTML of a page: one file, its style sheets inside, nothing fetched.

templates/document.html   what both pages begin and end with     templates/style.css   what both look like
templates/index.html      what the network saw                   templates/index.css   and what only it needs
templates/comparison.html networks side by side
templates/live.html       draw, and see what it sees             templates/live.css    and what only it needs
templates/glossary.html   the words, on both
"""

import functools
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES_DIR = Path(__file__).with_name("templates")


def render_template(name: str, **values: object) -> str:
    """The HTML of a template with these values, whose text is escaped."""
    return _template_environment().get_template(name).render(values)


def style_sheet(*names: str) -> str:
    """Style sheets after each other, for a <style> element."""
    return "".join((TEMPLATES_DIR / name).read_text(encoding="utf-8") for name in names)


def signed(value: float, digits: int = 2, brackets: bool = False) -> str:
    """A number with a true minus sign, never a negative zero; negative ones in brackets if they follow a sign."""
    text = f"{round(value, digits) or 0.0:.{digits}f}".replace("-", "−")
    return f"({text})" if brackets and value < 0 else text


def percent(share: float) -> str:
    """A share in percent."""
    return f"{share:.1%}"


def thousands(number: int) -> str:
    """A number with commas."""
    return f"{number:,}"


@functools.cache
def _template_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES_DIR),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"signed": signed, "percent": percent, "thousands": thousands}
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.globals["style_sheet"] = style_sheet
    return environment
