"""The names of shapes: the folders of the catalogue, and one that is reserved."""

OTHER = "other"  # the class of distractors: drawings that are none of the shapes
