"""Drawings that the page sends: kept in a form that `import` takes, only from the page's own origin, and bounded."""

import asyncio
import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from strokewise.errors import ModelError, UserError
from strokewise.preprocessing.stroke_input import rasterize_strokes
from strokewise.serving.app import ServedPage, build_app
from strokewise.serving.feedback import FeedbackFolder, check_same_origin
from strokewise.serving.limits import RequestLimits, RequestRefused

SHAPES = ("other", "triangle")
TRIANGLE = [[[10, 90], [50, 10], [90, 90], [10, 90]]]
HOST = "127.0.0.1:5001"
OWN = {"host": HOST, "origin": f"http://{HOST}", "content-type": "application/json", "sec-fetch-site": "same-origin"}


def correction(strokes: Any = TRIANGLE, shape: Any = "triangle") -> dict[str, Any]:
    return {"shape": shape, "strokes": strokes}


def ask(
    app: Any, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """The response of an application to one request."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": encoded, "query_string": b""}
    asyncio.run(app({**scope, "asgi": {"spec_version": "2.4"}}, receive, send))
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:])


class _Reader:
    shapes = SHAPES


def collecting(folder: Path, **options: Any) -> Any:
    return build_app(_Reader(), RequestLimits(), feedback=FeedbackFolder(folder, SHAPES, **options))  # type: ignore[arg-type]


def test_drawing_is_kept_once_under_its_shape_as_it_was_recognised(tmp_path: Path) -> None:
    folder = FeedbackFolder(tmp_path / "feedback", SHAPES)
    assert folder.keep(correction()) == 1
    assert folder.keep(correction()) == 1
    assert folder.keep(correction(shape="other")) == 2
    (path,) = (tmp_path / "feedback" / "triangle").iterdir()
    kept = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert kept is not None
    assert (kept == rasterize_strokes(TRIANGLE)[0]).all()
    assert FeedbackFolder(tmp_path / "feedback", SHAPES).keep(correction([[[0, 0], [9, 9]]])) == 3, (
        "counted at the start"
    )


def test_full_folder_takes_no_more(tmp_path: Path) -> None:
    folder = FeedbackFolder(tmp_path, SHAPES, max_kept=3)
    for number in range(3):
        folder.keep(correction([[[0, 0], [9, number]]]))
    with pytest.raises(RequestRefused, match="3 drawings are kept, and no more; import them, then empty it") as refused:
        folder.keep(correction())
    assert refused.value.status == 507
    assert folder.keep(correction([[[0, 0], [9, 1]]])) == 3, "it is there already"
    assert len(list(tmp_path.rglob("*.png"))) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "this is no correction"),
        ([], "this is no correction"),
        ({"shape": "triangle"}, "this is no correction"),
        ({**correction(), "name": "x"}, "this is no correction"),
        (correction(shape="../../etc"), "is no shape of this model; other, triangle are"),
        (correction(shape=["triangle"]), "is no shape of this model"),
        (correction(shape=""), "is no shape of this model"),
        (correction([]), "there are no strokes"),
        (correction("M0 0"), "there are no strokes"),
        (correction([[[1, 1], [1, 1]]]), "is a dot"),
        (correction([[[1, 1], [1e300, 1]]]), "."),
        (correction([[["a", "b"]]]), "."),
        (correction([[[0, 0], [1, 1]]] * 60_000), "."),
    ],
)
def test_anything_else_is_refused_and_nothing_kept(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestRefused, match=message) as refused:
        FeedbackFolder(tmp_path, SHAPES).keep(content)
    assert refused.value.status == 400
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_one_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot hold drawings"):
        FeedbackFolder(tmp_path / "file", SHAPES)


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": f"http://{HOST}.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"host": "", "origin": "http://"},
    ],
)
def test_other_origins_are_refused(changes: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(RequestRefused, match="only the page of this server") as refused:
        check_same_origin({**OWN, **changes})
    assert refused.value.status == 403
    headers = {name: value for name, value in {**OWN, **changes}.items() if value}
    status, _, _ = ask(collecting(tmp_path), "POST", "/feedback", headers, json.dumps(correction()).encode())
    assert status == 403
    assert list(tmp_path.iterdir()) == []


def test_own_page_sends_json_alone(tmp_path: Path) -> None:
    app, body = collecting(tmp_path), json.dumps(correction()).encode()
    assert ask(app, "POST", "/feedback", {**OWN, "content-type": "text/plain"}, body)[0] == 415
    assert ask(app, "GET", "/feedback", OWN)[0] == 405
    assert ask(app, "OPTIONS", "/feedback", OWN)[0] == 405, "no other site gets leave to send JSON"
    assert list(tmp_path.iterdir()) == []
    status, _, content = ask(app, "POST", "/feedback", OWN, body)
    assert (status, json.loads(content)) == (200, {"kept": 1})
    old = {name: value for name, value in OWN.items() if name != "sec-fetch-site"}
    assert ask(app, "POST", "/feedback", old, body)[0] == 200, "browsers that do not send it"
    assert ask(build_app(_Reader()), "POST", "/feedback", OWN, body)[0] == 404, "not asked to collect"  # type: ignore[arg-type]


def test_page_is_made_once_and_sent_with_a_strict_policy() -> None:
    made: list[int] = []

    def make_page() -> ServedPage:
        made.append(1)
        return ServedPage(b"<p>page</p>" * 20_000, "default-src 'none'")

    app = build_app(_Reader(), make_page=make_page)  # type: ignore[arg-type]
    for _ in range(2):
        status, headers, content = ask(app, "GET", "/", {"host": HOST})
        assert (status, content) == (200, b"<p>page</p>" * 20_000)
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert int(headers["content-length"]) == len(content)
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["x-content-type-options"] == "nosniff"
    assert made == [1]
    assert ask(app, "POST", "/", OWN)[0] == 405


def test_model_without_a_page_says_so() -> None:
    def make_page() -> ServedPage:
        raise ModelError("this model is no CNN")

    status, _, content = ask(build_app(_Reader(), make_page=make_page), "GET", "/", {"host": HOST})  # type: ignore[arg-type]
    assert status == 404
    assert "there is no page: this model is no CNN" in json.loads(content)["message"]
