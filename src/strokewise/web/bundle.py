"""JavaScript modules → one ES module: the runtime that a package ships, or the script that a page holds.

Nothing is compiled: the files stand one after the other, each after those that it imports, without imports and comments
(a quarter of them; the types carry what a user must know). Their top-level names differ, and what only the last one
exports is exported.
"""

import re
from pathlib import Path

WEB_DIR = Path(__file__).parent
ENTRY_MODULE = "index"
PAGE_MODULE = "live_page"  # the page that thinks while one draws
JS_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
JS_COMMENT = re.compile(r"^ */\*\*(?:.|\n)*?\*/\n|^ *// .*\n| +// .*$", re.MULTILINE)
JS_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)


COMMENTS = re.compile(  # on lines of their own, or after the end of a statement; empty lines, what indents a line
    r"""^[ ]*(?:/\*\*.*?\*/|//[^\n]*)\n|^\n|^[ ]+|(?<=[;,{}()\[\]])[ ]//[ ][^"'`\n]*$""", re.MULTILINE | re.DOTALL
)


def module_names(entry: str = ENTRY_MODULE) -> list[str]:
    """The names of the module `entry` and of all that it imports, each after those that it imports itself."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        for imported in JS_IMPORT.findall(_read_module(name)):
            if imported not in ordered:
                visit(imported)
        ordered.append(name)

    visit(entry)
    return ordered


def join_modules(entry: str = ENTRY_MODULE) -> str:
    """The source of the ES module that does what the module `entry` does."""
    parts = []
    for name in module_names(entry):
        text = JS_COMMENT.sub("", JS_IMPORT.sub("", _read_module(name))).strip()
        text = re.sub(r"\n\n+", "\n\n", text)
        parts.append(f"// --- {name}.js\n\n" + (text if name == entry else JS_EXPORT.sub("", text)))
    return "\n\n".join(parts) + "\n"


def page_script() -> str:
    """The script of the page, without the comments and the indentation of its source.

    It is no module: a browser runs it where it stands, before it has read the rest of the page.
    """
    return f'"use strict";\n{{\n{COMMENTS.sub("", join_modules(PAGE_MODULE))}}}\n'


def _read_module(name: str) -> str:
    return (WEB_DIR / f"{name}.js").read_text(encoding="utf-8")
