"""The angles of test-time augmentation, which PyTorch and the exported graph share. No torch here."""

TTA_ANGLES = (-8.5, 8.5)  # degrees: a prediction is the mean over the picture rotated by each
NO_TTA = (0.0,)  # the picture as it lies, which is what `explain` looks into
INK_GAIN = 1.5  # times the ink after a rotation, clipped at full ink: interpolation fades thin lines
