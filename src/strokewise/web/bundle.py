"""The modules of the JavaScript runtime → one ES module, which a package ships and a page holds.

Nothing is compiled: the files stand one after the other, each after those that it imports, without imports and comments
(a quarter of them; the types carry what a user must know). Their top-level names differ, and what `index.js` exports is
exported.
"""

import re
from pathlib import Path

WEB_DIR = Path(__file__).parent
ENTRY_MODULE = "index"
JS_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
JS_COMMENT = re.compile(r"^ */\*\*(?:.|\n)*?\*/\n|^ *// .*\n| +// .*$", re.MULTILINE)
JS_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)


def module_names() -> list[str]:
    """The names of all modules, each after those that it imports."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        for imported in JS_IMPORT.findall(_read_module(name)):
            if imported not in ordered:
                visit(imported)
        ordered.append(name)

    visit(ENTRY_MODULE)
    return ordered


def join_modules() -> str:
    """The source of the ES module."""
    parts = []
    for name in module_names():
        text = JS_COMMENT.sub("", JS_IMPORT.sub("", _read_module(name))).strip()
        text = re.sub(r"\n\n+", "\n\n", text)
        parts.append(f"// --- {name}.js\n\n" + (text if name == ENTRY_MODULE else JS_EXPORT.sub("", text)))
    return "\n\n".join(parts) + "\n"


def _read_module(name: str) -> str:
    return (WEB_DIR / f"{name}.js").read_text(encoding="utf-8")
