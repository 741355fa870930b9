"""The names of shapes: the folders of the catalogue, and one that is reserved."""

OTHER = "other"  # the class of distractors: drawings that are none of the shapes
FITS = ("similarity", "box", "affine", "vertices")  # what `data-fit` of an outline may say, each freer than the last
DEFAULT_FIT = "box"
