"""Which model answers: a named one, the registered champion, `data/model`, or the reference model of the package."""

from pathlib import Path

from strokewise.recogniser import Recogniser
from strokewise.support.paths import MODEL_DIR

REFERENCE_MODEL = Path(__file__).parent / "reference" / "model.onnx"


def load(model: str | Path | None = None) -> Recogniser:
    """Load a recogniser.

    Args:
        model: A model folder, a `model.onnx`, a folder that MLflow packaged, "models:/name@alias", or an
            alias ("champion"). None is the registered
            champion; if none is registered, `data/model` of the current folder; without it, the reference model that
            comes with the package.

    Raises ModelError or RegistryError if there is no such model.
    """
    return Recogniser(find_model(model)[0])


def find_model(model: str | Path | None = None) -> tuple[Path, str]:
    """Where a model lies, and what it is in words; `model` as for `load`.

    Raises RegistryError if the registry cannot be read or has no such model.
    """
    from strokewise.registry import versions  # imports MLflow only if a registry must be queried
    from strokewise.serving.packaging import MODEL_ARTIFACT

    if model is not None:
        folder = (versions.named_model_dir(model) if isinstance(model, str) else None) or Path(model)
        return folder / MODEL_ARTIFACT if (folder / "MLmodel").is_file() else folder, str(model)
    champion = versions.champion_dir()
    if champion is not None:
        return champion, "the champion"
    if MODEL_DIR.is_dir():
        return MODEL_DIR, str(MODEL_DIR)
    return REFERENCE_MODEL, "the reference model"


def reference_card() -> str:
    """What the reference model is, was measured to do and cannot do: Markdown without its heading."""
    card = REFERENCE_MODEL.with_name("README.md").read_text(encoding="utf-8")
    return card.partition("\n")[2].strip()
