"""A model, and its snapshots where there are some → the page that thinks while one draws: one file, nothing fetched.

The weights are in it as float16. The network runs in the JavaScript of `web/`, whose entry is `live_page.js`. No torch.
"""

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.errors import ModelError
from strokewise.explain.glossary import glossary_facts
from strokewise.explain.html import render_template, style_sheet
from strokewise.model.layers import LINE_NAMES, Layer, build_layers
from strokewise.model.onnx_file import OnnxModel
from strokewise.web.bundle import page_script
from strokewise.web.model_bytes import describe_model
from strokewise.web.onnx_network import FloatArrays, read_network

HalfBits = NDArray[np.uint16]  # float16 numbers as their 16 bits
SIGN_BIT = 0x8000
WORD_OF_KIND = {  # of the glossary, by kind of layer
    "convolution": "convolving",
    "pooling": "pooling",
    "activation": "activation",
    "flatten": "flatten",
    "fully connected": "fully-connected",
}
PLACES = {"cnn": "pad", "kernel": "filters", "filter": "filters", "receptive-field": "seen", "stride": "filters-lead"}


@dataclass(frozen=True)
class PackedSnapshot:
    """The weights at one moment of the training, as text in the page."""

    share: float
    """Of the training that was done."""
    is_delta: bool
    """Whether it is the difference to the snapshot before."""
    text: str


@dataclass(frozen=True)
class LivePage:
    """The page, and the Content-Security-Policy that a server sends with it."""

    html: str
    policy: str


def live_page(
    model: OnnxModel,
    model_name: str,
    snapshots: Mapping[float, FloatArrays] | None = None,
    index_page: str = "",
    collects: bool = False,
) -> LivePage:
    """Make the page.

    Args:
        model: a CNN.
        model_name: what it is, in words.
        snapshots: the weights by share of the training, by layer and part like `read_network`'s; that of the whole
            training is the model itself. With some, the page has a slider.
        index_page: the name of the file beside it that `page.explanation_page` made, if there is one.
        collects: whether a server takes drawings with their right names at `feedback` beside the page.

    Raises ModelError if the model is no CNN, or has weights that are no float16.
    """
    description, weights = describe_model(model)
    params, _ = read_network(model.content, len(model.shapes))
    layers = build_layers(params, len(model.shapes))
    names = sorted(weights)
    shares = [share for share in sorted(snapshots or {}) if share < 1]
    packed = []
    before = None
    for share in shares:
        assert snapshots is not None
        bits = _half_bits(snapshots[share], names)
        packed.append(_pack_snapshot(share, bits, before))
        before = bits
    script, style = page_script(), style_sheet("style.css", "live.css")
    assert "</script" not in script.lower()
    assert "<!--" not in script
    policy = _policy(script, style, collects)
    page_data = {
        "description": {**description, "layers": [_shown_layer(layer) for layer in description["layers"]]},
        "tensors": [[name, int(weights[name].size)] for name in names],
        "shares": [*shares, 1],
    }
    html = render_template(
        "live.html",
        title="Draw, and watch it think",
        style=style,
        script=script,
        policy=policy,
        model_name=model_name,
        facts=glossary_facts(layers, params.activation, params.pooling),
        shapes=model.shapes,
        shares=[*shares, 1] if shares else [],
        index_page=index_page,
        collects=collects,
        blocks=[
            (block, list(members))
            for block, members in groupby(enumerate(layers), key=lambda numbered: numbered[1].block)
        ],
        filter_names=_line_filter_names(layers[0].output_size[0]),
        word_of=WORD_OF_KIND,
        places=_places(layers),
        page_data=page_data,
        weights=_pack_words(_half_bits(weights, names)),
        snapshots=packed,
    )
    return LivePage(html, policy)


def read_snapshots(path: Path) -> dict[float, FloatArrays]:
    """The snapshots in a file that *train* wrote, by share of the training; none where there is no such file.

    Raises ModelError for a file that is damaged.
    """
    import safetensors.numpy

    if not path.is_file():
        return {}
    try:
        tensors = safetensors.numpy.load(path.read_bytes())
        snapshots: dict[float, FloatArrays] = {}
        for key, value in tensors.items():
            share, _, name = key.partition("/")
            snapshots.setdefault(float(share), {})[name] = value.astype(np.float32)
    except Exception as error:  # of several kinds, in safetensors
        raise ModelError(f"{path} is damaged: {error}; run `strokewise train`") from None
    for weights in snapshots.values():
        _join_frozen_filters(weights)
    return snapshots


def _join_frozen_filters(weights: FloatArrays) -> None:
    """The line filters that are not trained go before those that are, with biases of 0."""
    frozen = weights.pop("lines.convolution.frozen", np.zeros((0, 1, 2, 2), np.float32))
    name = "lines.convolution"
    weights[f"{name}.weight"] = np.concatenate([frozen, weights[f"{name}.weight"]])
    weights[f"{name}.bias"] = np.concatenate([np.zeros(len(frozen), np.float32), weights[f"{name}.bias"]])


def _half_bits(weights: FloatArrays, names: Sequence[str]) -> HalfBits:
    """All weights in the order of `names`, one after the other."""
    try:
        values = np.concatenate([weights[name].ravel() for name in names])
    except KeyError as error:
        raise ModelError(f"a snapshot lacks {error}, which the model has; run `strokewise train`") from None
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ModelError("the model has weights that are too large to be shown; train it again")
    return halves.view(np.uint16)


def _pack_snapshot(share: float, bits: HalfBits, before: HalfBits | None) -> PackedSnapshot:
    """The shorter of the weights themselves and their difference to those before."""
    texts = [_pack_words(bits)]
    if before is not None:
        difference = (_order(bits) - _order(before) + SIGN_BIT) % (2 * SIGN_BIT) - SIGN_BIT
        texts.append(_pack_words(np.where(difference >= 0, 2 * difference, -2 * difference - 1)))
    text = min(texts, key=len)
    return PackedSnapshot(share, text is not texts[0], text)


def _order(bits: HalfBits) -> NDArray[np.int64]:
    """Float16 bits → numbers that grow with their value, one for each."""
    words = bits.astype(np.int64)
    return np.where(words >= SIGN_BIT, 2 * SIGN_BIT - 1 - words, SIGN_BIT + words)


def _pack_words(words: NDArray[Any]) -> str:
    """16-bit numbers, deflated with their high bytes first, in base 85 without `<`."""
    halves = words.astype(np.uint16)
    content = (halves >> 8).astype(np.uint8).tobytes() + (halves & 255).astype(np.uint8).tobytes()
    deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    return base64.b85encode(deflate.compress(content) + deflate.flush()).decode().replace("<", ",")


def _policy(script: str, style: str, collects: bool) -> str:
    """What the page may do: run this script, and send corrections to where it comes from, nothing else."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {source(script)}",
            f"style-src {source(style)}",
            "img-src data:",
            "connect-src 'self'" if collects else "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _shown_layer(layer: dict[str, Any]) -> dict[str, Any]:
    """What the script needs of a layer's description: the page itself says the rest."""
    return {key: value for key, value in layer.items() if key not in ("description", "parameters", "multiply_adds")}


def _line_filter_names(count: int) -> list[str]:
    return [
        LINE_NAMES[number] if number < len(LINE_NAMES) else f"learned {number - len(LINE_NAMES) + 1}"
        for number in range(count)
    ]


def _places(layers: Sequence[Layer]) -> dict[str, str]:
    """By word of the glossary, the id of the place on the page where it happens."""
    places = {**PLACES, "feature-map": "layer-0"}
    for number, layer in enumerate(layers):
        if layer.kind in WORD_OF_KIND:
            places.setdefault(WORD_OF_KIND[layer.kind], f"layer-{number}")
        if layer.padding:
            places.setdefault("padding", f"layer-{number}")
    return places
