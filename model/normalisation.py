"""Batch normalisation that trains as fast as the backend can."""

import math
from typing import Any

import keras


@keras.saving.register_keras_serializable("classmood")
class Normalisation(keras.layers.BatchNormalization):  # type: ignore[misc]  # keras is untyped
    """Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) that on torch uses torch's own single operation.

    Keras computes the mean and the variance in separate steps, and backpropagates through each of them: on two cores, that
    made a training step of `custom_cnn` take 1.5 times as long. On other backends, and outside of training, it is Keras' own.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The normalised `inputs` (n, ..., channels) float32."""
        if not training or mask is not None or not self._is_torchs(inputs):
            return super().call(inputs, training=training, mask=mask)
        import torch  # installed only with its backend

        normalised = torch.nn.functional.batch_norm(
            inputs.movedim(-1, 1),
            self.moving_mean.value,
            self.moving_variance.value,
            self.gamma.value,
            self.beta.value,
            training=True,
            momentum=1 - self.momentum,
            eps=self.epsilon,
        )
        if normalised.requires_grad and normalised.ndim == 4:
            # torch's pooling returns its gradient with the channels first in memory, and all earlier layers would follow suit
            normalised.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
        return normalised.movedim(1, -1)

    def _is_torchs(self, inputs: Any) -> bool:
        """Whether torch's operation can do this; for one, it refuses to normalise a single value."""
        if keras.backend.backend() != "torch" or not self.trainable:
            return False
        usual = self.scale and self.center and not getattr(self, "renorm", False) and self.axis in (-1, len(inputs.shape) - 1)
        return usual and math.prod(inputs.shape[:-1]) > 1
