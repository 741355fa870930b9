"""The kinds of input: for each, valid ones, words that mean something in them, and the function that reads one.

A target is made in an empty working folder, which its inputs are written to. A name that begins with `sealed-` says
that lengths, checksums and digests are made right after the change, as a stranger would who wants to be believed.
"""

import base64
import contextlib
import hashlib
import http.client
import io
import json
import shutil
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h11
import numpy as np

from strokewise.errors import UserError

ROOT = Path(__file__).parents[2]
SEALED = "sealed-"
ANSWER_S = 20.0  # for a complete request, on a busy machine
DOCUMENTED_STATUSES = (501, 503)  # from 500 on: an unknown Transfer-Encoding, and a busy server
MAX_LINES = 200  # of a list of pictures


@dataclass(frozen=True)
class Target:
    """What is tried of a kind."""

    valid: list[tuple[str, bytes]]
    """Names and contents that are read without an error."""
    words: list[bytes]
    read: Callable[[str, bytes], object]
    """Raises UserError for what it refuses."""


class WrongAnswer(Exception):
    """The server's answer is none of the documented ones."""


def draw() -> np.ndarray:
    """A page with a circle, uint8 (50, 60, 3)."""
    page = np.full((50, 60, 3), 255, np.uint8)
    cv2.circle(page, (30, 25), 15, (40, 0, 0), 2)
    return page


# --- pictures, strokes, outlines


def pictures(_: str) -> Target:
    """PNG, JPEG, WebP, BMP and GIF files of several depths, as `predict` and the stages read them."""
    from PIL import Image

    from strokewise.preprocessing.preprocess import preprocess

    page = draw()
    clear = np.dstack([page, 255 - page[..., 1]])
    valid = []
    for suffix in (".png", ".jpg", ".webp", ".bmp", ".gif"):
        pages = [page]
        pages += {".png": [page[..., 0], clear, page.astype(np.uint16) * 257], ".webp": [clear]}.get(suffix, [])
        valid += [(f"{number}{suffix}", bytes(cv2.imencode(suffix, one)[1])) for number, one in enumerate(pages)]
    image = Image.fromarray(page)
    exif = image.getexif()
    exif[0x0112] = 6
    for kind in ("PNG", "JPEG", "WEBP"):
        file = io.BytesIO()
        image.convert("RGBA" if kind == "PNG" else "RGB").save(file, kind, exif=exif)
        valid.append((f"exif.{kind.lower()}", file.getvalue()))
    file = io.BytesIO()
    image.quantize(4).save(file, "PNG", transparency=0)
    valid.append(("palette.png", file.getvalue()))
    valid += [(SEALED + name, content) for name, content in valid if name.endswith(".png")]
    words = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"IHDR", b"PLTE", b"eXIf", b"tRNS", b"acTL", b"fcTL", b"IEND"]
    words += [
        b"iCCP",
        b"zTXt",
        b"RIFF",
        b"VP8X",
        b"VP8L",
        b"ANIM",
        b"GIF89a",
        b"BM",
        b"MM\0*",
        b"\xff\xc0",
        b"\xff\xda",
    ]

    def read(name: str, content: bytes) -> None:
        preprocess(_seal_png(content) if name.startswith(SEALED) else content, 64)

    return Target(valid, words, read)


def _seal_png(content: bytes) -> bytes:
    """The PNG with the right checksum behind each chunk that is whole."""
    data, offset = bytearray(content), 8
    while offset + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        end = offset + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[offset + 4 : end]))
        offset = end + 4
    return bytes(data)


def strokes(_: str) -> Target:
    """Drawings as apps write them: JSON, NDJSON, InkML, gestures."""
    from strokewise.preprocessing.preprocess import preprocess
    from strokewise.preprocessing.sources import read_source

    drawing = '{"word": "x", "drawing": [[[1, 5, 9], [2, 4, 6]], [[1, 8], [7, 7]]]}'
    element = {"type": "freedraw", "x": 1, "y": 2, "points": [[0, 0], [5, 9], [9, 1]], "isDeleted": False}
    texts = {
        "points.json": "[[[1, 2], [30, 4]], [[5, 60], [7, 8]]]",
        "columns.json": "[[[1, 5, 90, 3], [2, 4, 60, 9]]]",
        "keys.json": '{"strokes": [{"points": [{"x": 1, "y": 2}, {"x": 30, "y": 4}, {"x": 5, "y": 60}]}]}',
        "quickdraw.json": drawing,
        "elements.json": json.dumps({"type": "excalidraw", "elements": [element, element]}),
        "lines.json": '{"lines": [{"tool": "pen", "points": [1, 2, 30, 4, 5, 60]}]}',
        "ink.inkml": '<ink xmlns="http://www.w3.org/2003/InkML"><trace>1 2, 30 4, 9 90</trace></ink>',
        "gesture.xml": '<Gesture Name="c"><Point X="1" Y="2"/><Point X="30" Y="4"/><Point X="9" Y="90"/></Gesture>',
    }
    words = b'[ ] { } null true NaN -1e308 "x": "points": "strokes": "isDeleted":true, "drawing": <trace> </ \xff\xfe'
    files = [(name, text.encode()) for name, text in texts.items()]
    more = [b"\\u0000", b"[" * 2000, b"<!ENTITY a 'b'>", b"&a;", b"9" * 5000, b'"' + b"[" * 3000]
    return Target(files, words.split() + more, lambda _, content: preprocess(read_source(content, None), 64))


def svg(_: str) -> Target:
    """Outlines, as *generate* reads them."""
    from strokewise.synthesis.outlines import parse_outline

    files = sorted((ROOT / "data" / "outlines").glob("*/*.svg"))
    styled = b"""<svg viewBox="0 0 9 9"><style>.a{stroke:red} @media print{.b{display:none}}</style><defs><g id="a">
        <rect x="1" y="1" width="50%" height="4" rx="1"/></g><clipPath id="c"><circle r="5"/></clipPath></defs>
        <g transform="rotate(30 4 4) skewX(9)" clip-path="url(#c)"><use href="#a" class="a"/></g></svg>"""
    words = b"""transform="rotate(45)" style="display:none" clip-path="url(#c)" mask="url(#m)" id="a" href="#a" </svg>
        <use/> <g> </g> viewBox="0&#32;0&#32;0&#32;0" width="1e9" overflow="visible" stroke="none" opacity="0" nan inf
        matrix(0,0,0,0,0,0) A1,1,0,0,1,2,2 Z M q @media { } :not( var(--x) 5% 2em px url(# &amp; <!-- --> <![CDATA["""
    valid = [(file.name, file.read_bytes()) for file in files] + [("styled.svg", styled)]
    return Target(valid, [*words.split(), b" "], lambda _, content: parse_outline(content, Path("drawing.svg")))


# --- parameters and models


def params(_: str) -> Target:
    """The text of params.yaml, and of `--set`."""
    from strokewise.params import Params

    file = ROOT / "params.yaml"
    overrides = ["train.epochs=40", "generate.hand.turn=null", "network.depth=3", "train.device=cuda"]
    valid = [("params.yaml", file.read_bytes())] + [(f"set{n}", text.encode()) for n, text in enumerate(overrides)]
    words = b"&a *a [*a,*a] {a: <<: !!python/name:os.system !!int !!binary | > --- ... %YAML ? - : # ' \" \t null .inf"

    def read(name: str, content: bytes) -> None:
        if name.startswith("set"):
            Params.load(file, [content.decode("utf-8", "surrogateescape")])
        else:
            Path(name).write_bytes(content)
            Params.load(Path(name))

    return Target(valid, [*words.split(), b"\n", b"  ", b"[" * 150, b"9" * 5000, b"\n  "], read)


def model(_: str) -> Target:
    """The weights and the network of a model folder, as every command reads them."""
    make_model(Path("valid"))
    files = [(file.name, file.read_bytes()) for file in sorted(Path("valid").iterdir()) if file.name != "config.json"]
    words = [b"F32", b"F64", b"I64", b"BOOL", b'"shape":[', b'"data_offsets":[', b"Loop", b"ConstantOfShape", b"Expand"]
    words += [b"Conv", b"Scan", b"If", b"external_data", b"location", b"/etc/hostname", b"\x08\x01", b"\x12\x04"]
    return Target([*files, *((SEALED + name, content) for name, content in files)], words, read_model)


def config(_: str) -> Target:
    """The config.json of a model folder."""
    make_model(Path("valid"))
    content = Path("valid/config.json").read_bytes()
    words = (
        b'relu silu group average "seeded" "fixed" null 1000000 "shapes": "network": "weights": [ ] { } , \\u001b "a",'
    )
    valid = [("config.json", content), (f"{SEALED}config.json", content)]
    return Target(valid, [*words.split(), b"[" * 2000], read_model)


def make_model(folder: Path) -> None:
    """Save an untrained network of the smallest size."""
    import torch

    from strokewise.model.cnn import CNN
    from strokewise.model.model_files import save_model
    from strokewise.params import Params

    torch.manual_seed(0)
    parameters = Params.load(ROOT / "params.yaml", ["network.image_size=16", "network.base_channels=4"])
    save_model(CNN(("circle", "other"), parameters.network).eval(), folder, {"fingerprint": "f" * 64})


def read_model(name: str, content: bytes) -> None:
    """Load, verify and ask a model folder with one file exchanged."""
    from strokewise.model.model_files import load_model
    from strokewise.model.verify import verify_model
    from strokewise.recogniser import Recogniser

    folder = Path("model")
    shutil.copytree("valid", folder, dirs_exist_ok=True)
    (folder / name.removeprefix(SEALED)).write_bytes(content)
    if name.startswith(SEALED):
        _seal_model(folder)
    ask: list[Callable[[], object]] = [lambda: verify_model(folder, "cnn"), lambda: load_model(folder)]
    if name.endswith(".onnx"):
        ask = [lambda: Recogniser(folder).predict(draw())]
    refusals = []
    for read in ask:
        try:
            read()
        except UserError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def _seal_model(folder: Path) -> None:
    """Make the digests right: of config.json, of the weights in it, of model.onnx."""
    from strokewise.model.config_file import write_config
    from strokewise.model.onnx_file import DIGEST_FIELD, NO_DIGEST

    before, field, rest = (folder / "model.onnx").read_bytes().rpartition(DIGEST_FIELD)
    after = rest[len(NO_DIGEST) :]
    digest = hashlib.sha256(before + field + NO_DIGEST + after).hexdigest().encode()
    (folder / "model.onnx").write_bytes(before + field + digest + after)
    try:
        content = json.loads((folder / "config.json").read_bytes())
    except (ValueError, RecursionError):
        return
    if isinstance(content, dict):
        if content.get("weights"):
            content["weights"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        content.pop("digest", None)
        with contextlib.suppress(ValueError):  # NaN
            write_config(folder, content)


# --- import


def importing(_: str) -> Target:
    """Collections for `import`: .npy, .parquet, .csv, and an archive of the wrong name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from strokewise.importing.importer import import_drawings
    from strokewise.importing.labels import read_label_map
    from strokewise.importing.readers import read_collection

    Path("data/outlines/ellipse").mkdir(parents=True)
    picture = bytes(cv2.imencode(".png", draw())[1])
    Path("a.png").write_bytes(picture)
    bitmaps = np.stack([cv2.resize(255 - draw()[..., 1], (28, 28))] * 3)
    valid: list[tuple[str, bytes]] = [("list.csv", b"path,shape\na.png,ellipse\na.png,other\nb.png,ellipse\n")]
    for name, array in (("flat.npy", bitmaps.reshape(3, 784)), ("square.npy", np.asfortranarray(bitmaps))):
        file = io.BytesIO()
        np.save(file, array)
        valid.append((name, file.getvalue()))
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["ellipse", "other"]}}
    kinds = {"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()}
    schema = pa.schema(kinds, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    images = [{"bytes": picture, "path": None}, {"bytes": None, "path": "a.png"}] * 5
    tables = [pa.table({"image": images, "label": [0, 1] * 5}, schema=schema)]
    tables.append(pa.table({"image": [picture] * 4, "label": ["ellipse", "other"] * 2}))
    for number, (table, codec) in enumerate((table, codec) for table in tables for codec in ("none", "snappy", "zstd")):
        file = io.BytesIO()
        pq.write_table(table, file, compression=codec, row_group_size=4)
        valid.append((f"{number}.parquet", file.getvalue()))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr("bitmaps.npy", valid[1][1])
    words = [b"PAR1", b"PK\x03\x04", archive.getvalue(), b"\x93NUMPY\x02\x00", b"'descr': '|O'", b"'shape': (-1, 784)"]
    words += [
        b"'shape': (99999999999, 784)",
        b"\x15\x00",
        b"\x19\x1c",
        b"\x18\x05image",
        b"\x18\x05label",
        b"huggingface",
    ]
    words += [b'"', b"\n", b"path,shape", b"../../etc/hostname", b"\x00", b"\x28\xb5\x2f\xfd", b"ClassLabel"]
    label_map = read_label_map([])

    def read(name: str, content: bytes) -> None:
        if name.endswith(".csv"):  # each line is a picture to read, which takes its time
            content = b"\n".join(content.splitlines()[:MAX_LINES])
        Path(name).write_bytes(content)
        collection = read_collection(Path(name), "ellipse" if name.endswith(".npy") else None)
        report = import_drawings(collection, label_map, train=False, dry_run=True)
        for rejected in report.rejected:
            if "memory" in rejected[1]:
                raise MemoryError(rejected[1])

    return Target(valid, words, read)


# --- HTTP


def requests(address: str) -> Target:
    """Requests to `strokewise serve`, which listens on the loopback port `address`."""
    picture = base64.b64encode(cv2.imencode(".png", draw())[1]).decode()
    stroke = {"strokes": [[[1, 2], [30, 4], [5, 60]]]}
    bodies = [
        {"inputs": [picture, stroke, draw()[..., 0].tolist()]},
        {"instances": [{"picture": picture}]},
        {"dataframe_split": {"columns": ["picture"], "data": [[picture]]}},
    ]
    head = f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1:{address}\r\nContent-Type: application/json\r\n"
    valid = [(f"get{path.strip('/')}", f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{address}\r\n\r\n".encode())
             for path in ("/ping", "/health", "/version")]  # fmt: skip
    for number, body in enumerate(json.dumps(body).encode() for body in bodies):
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        valid += [(f"post{number}", request), (f"{SEALED}post{number}", request)]
        chunk = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        valid.append((f"chunked{number}", chunk))
    words = [
        b"\r\n",
        b"\r\n\r\n",
        b"Expect: 100-continue\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
    ]
    words += [
        b"Content-Encoding: gzip\r\n",
        b"Host: evil.example\r\n",
        b"Upgrade: websocket\r\n",
        b"HTTP/1.0",
        b"HTTP/9.9",
    ]
    words += [
        b"Content-Length: 9999999999\r\n",
        b"%00",
        b"/../",
        b"OPTIONS",
        b"\xff",
        b"\0",
        b"A" * 70_000,
        b"[" * 5000,
    ]
    words += [b'{"inputs": [', b'"', b"null", b"NaN", b"1e999", b"\\ud800", b"data:image/png;base64,"]
    return Target(valid, words, lambda name, content: _request(int(address), name, content))


def _request(port: int, name: str, content: bytes) -> None:
    """Send a request and check the answer. Raises UserError for a documented refusal, else WrongAnswer."""
    if name.startswith(SEALED):
        head, _, body = content.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
        content = b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])
    complete = _is_complete(content)
    with socket.create_connection(("127.0.0.1", port), ANSWER_S) as connection:
        with contextlib.suppress(OSError):  # it may have answered and closed
            connection.sendall(content)
        if not complete:  # the server may wait for the rest
            connection.close()
            raise UserError("an incomplete request")
        answer = http.client.HTTPResponse(connection, method="HEAD" if content.startswith(b"HEAD ") else "GET")
        try:
            answer.begin()
            text = answer.read()
        except TimeoutError:
            raise WrongAnswer(f"no answer in {ANSWER_S:g} s") from None
        except (http.client.HTTPException, OSError) as error:
            raise WrongAnswer(f"no HTTP: {type(error).__name__}") from None
    if answer.status == 200:
        return
    if answer.status >= 500 and answer.status not in DOCUMENTED_STATUSES:
        raise WrongAnswer(f"status {answer.status}")
    if content.startswith(b"HEAD "):
        raise UserError("a HEAD request")
    try:
        refusal: Any = json.loads(text)
    except ValueError:
        raise WrongAnswer(f"status {answer.status} is no JSON: {text[:60]!r}") from None
    if not isinstance(refusal, dict) or set(refusal) != {"error_code", "message"}:
        raise WrongAnswer(f"status {answer.status} is not the documented object: {text[:60]!r}")
    raise UserError(refusal["message"])


def _is_complete(content: bytes) -> bool:
    """Whether a server must answer these bytes at once, as h11 understands them."""
    if not content:
        return False
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(content)
    try:
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.EndOfMessage):
                return True
    except h11.RemoteProtocolError:
        return True
    return False


TARGETS: dict[str, Callable[[str], Target]] = {
    "model": model,
    "config": config,
    "params": params,
    "import": importing,
    "http": requests,
    "svg": svg,
    "strokes": strokes,
    "pictures": pictures,
}
