"""The modules can be joined: their names differ, and each stands after what it imports."""

import re
from collections import Counter

from strokewise.web.bundle import JS_COMMENT, JS_IMPORT, PAGE_MODULE, WEB_DIR, join_modules, module_names

TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)


def test_every_module_is_part_of_the_package_or_of_the_page() -> None:
    assert {*module_names(), *module_names(PAGE_MODULE)} == {path.stem for path in WEB_DIR.glob("*.js")}


def test_top_level_names_differ() -> None:
    names = Counter(name for path in WEB_DIR.glob("*.js") for name in TOP_LEVEL.findall(path.read_text()))
    assert [name for name, count in names.items() if count > 1] == []


def test_modules_stand_after_what_they_import() -> None:
    names = module_names()
    for name in names:
        for imported in JS_IMPORT.findall((WEB_DIR / f"{name}.js").read_text()):
            assert names.index(imported) < names.index(name)


def test_joined_module_imports_nothing_and_exports_what_users_call() -> None:
    text = join_modules()
    assert not re.search(r"^import\b", text, re.MULTILINE)
    assert re.findall(r"^export .*", text, re.MULTILINE) == [
        "export { ModelError, PictureError, Recogniser };",
        'export async function load(source = new URL("./model.safetensors", import.meta.url)) {',
    ]
    assert not re.search(r"/\*\*|^ *// (?!--- )| // ", text, re.MULTILINE)


def test_nothing_but_comments_looks_like_one() -> None:
    """So that they can be taken out without reading JavaScript."""
    for path in WEB_DIR.glob("*.js"):
        code = JS_COMMENT.sub("", path.read_text())
        assert "/*" not in code.replace("/* webpackIgnore: true */ /* @vite-ignore */", "")
        for line in path.read_text().splitlines():
            before, comment, _ = line.partition(" // ")
            assert not comment or all(before.count(quote) % 2 == 0 for quote in "\"'`"), line
