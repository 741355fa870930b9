"""An analysis agrees with plain predictions and leaves the CNN unchanged."""

import numpy as np
from numpy.typing import NDArray

from strokewise.explain import analysis
from strokewise.explain.analysis import Analysis
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba

Pictures = NDArray[np.uint8]


def test_prediction_is_that_of_predict_proba(cnn: CNN, analyses: list[Analysis]) -> None:
    for one in analyses:
        np.testing.assert_allclose(one.prediction, predict_proba(cnn, one.picture[np.newaxis])[0], atol=1e-6)


def test_analysing_leaves_the_cnn_unchanged(cnn: CNN, pictures: Pictures) -> None:
    cnn.train()
    before = probability_bytes(cnn, pictures)
    analysis.analyse(cnn, pictures[0], scene=pictures[0], title="x")
    assert all(module.training for module in cnn.modules())
    assert not any(module._forward_hooks for module in cnn.modules())
    assert probability_bytes(cnn, pictures) == before


def probability_bytes(cnn: CNN, pictures: Pictures) -> bytes:
    modes = [module.training for module in cnn.modules()]
    probabilities = predict_proba(cnn.eval(), pictures).tobytes()
    for module, mode in zip(cnn.modules(), modes, strict=True):
        module.training = mode
    return probabilities
