"""The packages that only the extra `pipeline` installs, and the one line that says so where one is missing."""

from strokewise.errors import UserError

PIPELINE_PACKAGES = {  # module -> package
    "PIL": "pillow",
    "cssselect2": "cssselect2",
    "dvc": "dvc",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "onnx": "onnx",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "ruamel": "ruamel.yaml",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "skl2onnx": "skl2onnx",
    "sklearn": "scikit-learn",
    "svgelements": "svgelements",
    "threadpoolctl": "threadpoolctl",
    "tinycss2": "tinycss2",
    "torch": "torch",
    "tqdm": "tqdm",
}


class MissingExtra(UserError):
    """A package of the extra `pipeline` is not installed."""


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """The user's error for a module that the extra `pipeline` would have brought; None for any other module."""
    package = PIPELINE_PACKAGES.get((error.name or "").partition(".")[0])
    if package is None:
        return None
    return MissingExtra(f"this command needs {package}, which is not installed: pip install 'strokewise[pipeline]'")
