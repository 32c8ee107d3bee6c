"""The networks that can be trained. Keras 3, on whichever backend is set."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from model.dataset import FACE_SIZE, Split, fed
from model.disk import drafted
from model.errors import ModelUnusable, first_line
from model.faces import EMOTIONS, Image
from model.normalisation import Normalisation
from model.pretrained import IMAGENET, fetched

HEAD = "probabilities"

IMAGENET_MEANS = (-103.939, -116.779, -123.68)
"""What the Keras backbones expect to be subtracted: the means of blue, green and red over ImageNet."""

MOMENTUM = 0.9
"""Of the batch normalisation's running statistics: Keras' own 0.99 needs more steps than a short training has."""

MOBILE_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1))
"""Filters and stride of each block of `mobile_cnn`."""

FACE_RESNET_STAGES = ((32, 3), (64, 4), (128, 3), (256, 2))
"""Filters and number of blocks of each stage of `face_resnet`."""

VGG_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3))
"""Filters and number of convolutions of each stage of `vgg_cnn`."""

RESNET18_STAGES = (64, 128, 256, 512)
"""Filters of the two blocks of each stage of `resnet18`."""


def custom_cnn(size: int = FACE_SIZE) -> keras.Model:
    """The convolutional network this project grew from: 4,496,903 parameters at 48 pixels.

    Takes grey faces (n, size, size, 1) as float32 of 0 to 255 and gives probabilities (n, 7).
    A smaller `size`, from 16, only shortens the first dense layer. Raises ModelUnusable for one that is too small.
    """
    if size < 16:
        raise ModelUnusable(f"custom_cnn cannot be made: it halves a face four times, and {size} pixels are too few for that")
    return keras.Sequential(
        [
            layers.Input((size, size, 1)),
            # standardises roughly; without parameters, so that the count stays the published one
            layers.Rescaling(1 / 64, offset=-2.0),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="convolution_0"),
            *_convolution_block(1, filters=64, kernel=3),
            *_convolution_block(2, filters=128, kernel=5),
            *_convolution_block(3, filters=512, kernel=3),
            *_convolution_block(4, filters=512, kernel=3),
            layers.Flatten(),
            *_dense_block(1, units=256),
            *_dense_block(2, units=512),
            layers.Dense(len(EMOTIONS), activation="softmax", dtype="float32", name=HEAD),
        ],
        name="custom_cnn",
    )


def _convolution_block(number: int, filters: int, kernel: int) -> list[keras.Layer]:
    return [
        layers.Conv2D(filters, kernel, padding="same", activation="relu", name=f"convolution_{number}"),
        Normalisation(momentum=MOMENTUM, name=f"convolution_{number}_normalised"),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
    ]


def _dense_block(number: int, units: int) -> list[keras.Layer]:
    return [
        layers.Dense(units, activation="relu", name=f"dense_{number}"),
        Normalisation(momentum=MOMENTUM, name=f"dense_{number}_normalised"),
        layers.Dropout(0.25),
    ]


def residual_cnn(size: int = FACE_SIZE) -> keras.Model:
    """A small residual network of 2.5 M parameters, whose weights fit any size.

    Takes grey faces (n, size, size, 1) as float32 of 0 to 255 and gives probabilities (n, 7). Every convolution is
    followed by its normalisation, so that the two become one when exported (He et al., arXiv 1512.03385, with the
    pooled shortcut of He et al., arXiv 1812.01187).
    """
    faces = layers.Input((size, size, 1))
    features = layers.Rescaling(1 / 64, offset=-2.0)(faces)
    features = _normalised_convolution(features, 16, kernel=5, stride=2, name="stem")
    # the early stages have the most pixels and are kept narrow: at 48 pixels a face costs about as much as finding it
    for number, filters in enumerate((16, 48, 112, 256)):
        features = _residual_block(features, filters, stride=2 if number else 1, name=f"stage_{number}_a")
        features = _residual_block(features, filters, stride=1, name=f"stage_{number}_b")
    return keras.Model(faces, _probabilities(layers.GlobalAveragePooling2D()(features)), name="residual_cnn")


def mobile_cnn(size: int = FACE_SIZE) -> keras.Model:
    """The first nine blocks of a MobileNet (Howard et al., arXiv 1704.04861) on grey faces: 1.1 M parameters.

    Takes grey faces (n, size, size, 1) as float32 of 0 to 255 and gives probabilities (n, 7). It is meant to start from a
    MobileNet that was trained on faces (`model.mobilenet`): the blocks left out, which see the whole face at once, are those
    that say least about an emotion.
    """
    faces = layers.Input((size, size, 1))
    features = layers.Rescaling(1 / 64, offset=-117 / 64)(faces)
    features = _normalised_convolution(features, 32, kernel=3, stride=2, name="stem", ceiling=6.0)
    for number, (filters, stride) in enumerate(MOBILE_BLOCKS, 1):
        depthwise = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=f"block_{number}_depthwise")
        features = layers.ReLU(6.0)(_normalised(depthwise, features))
        features = _normalised_convolution(features, filters, kernel=1, name=f"block_{number}_pointwise", ceiling=6.0)
    return keras.Model(faces, _probabilities(layers.GlobalAveragePooling2D()(features)), name="mobile_cnn")


def face_resnet(size: int = FACE_SIZE) -> keras.Model:
    """dlib's face recognition network for grey faces, without its last two blocks: 3.3 M parameters.

    Takes grey faces (n, size, size, 1) as float32 of 0 to 255 and gives probabilities (n, 7). It is meant to start from
    that network's weights (`model.dlib_resnet`; http://dlib.net/dnn_face_recognition_ex.cpp.html); where dlib's shortcut
    pads with channels of zeros, this has a convolution that can do the same and learn more. The blocks left out tell
    people apart: adding the first of them made a linear classifier on the network's features no better at emotions
    (49.3 % of PublicTest both times, at 80 pixels, with nothing else trained).
    """
    faces = layers.Input((size, size, 1))
    features = layers.Rescaling(1 / 64, offset=-117 / 64)(faces)
    features = _normalised_convolution(features, 32, kernel=7, stride=2, name="stem")
    features = layers.MaxPooling2D(3, 2, padding="same")(features)
    for number, (filters, blocks) in enumerate(FACE_RESNET_STAGES):
        for block in range(blocks):
            stride = 2 if number and not block else 1
            features = _residual_block(features, filters, stride, name=f"stage_{number}_{'abcd'[block]}")
    return keras.Model(faces, _probabilities(layers.GlobalAveragePooling2D()(features)), name="face_resnet")


def vgg_cnn(size: int = FACE_SIZE) -> keras.Model:
    """Ten convolutions as in VGG, each normalised, and no dense layers: 7.6 M parameters, made to teach smaller networks.

    Takes grey faces (n, size, size, 1) as float32 of 0 to 255 and gives probabilities (n, 7). It is of the kind that did best
    on FER-2013 in the comparison of Pramerdorfer and Kampel (arXiv 1612.02903).
    """
    faces = layers.Input((size, size, 1))
    features = layers.Rescaling(1 / 64, offset=-2.0)(faces)
    for number, (filters, convolutions) in enumerate(VGG_STAGES):
        for convolution in range(convolutions):
            features = _normalised_convolution(features, filters, kernel=3, name=f"stage_{number}_{'abc'[convolution]}")
        features = layers.MaxPooling2D(padding="same")(features)
    return keras.Model(faces, _probabilities(layers.GlobalAveragePooling2D()(features)), name="vgg_cnn")


def resnet18(size: int = FACE_SIZE) -> keras.Model:
    """ResNet-18 (He et al., arXiv 1512.03385) for small pictures: 11.2 M parameters, made to teach smaller networks.

    Takes grey faces (n, size, size, 1) as float32 of 0 to 255 and gives probabilities (n, 7). As is usual for small pictures,
    the first stage has full resolution.
    """
    faces = layers.Input((size, size, 1))
    features = layers.Rescaling(1 / 64, offset=-2.0)(faces)
    features = _normalised_convolution(features, RESNET18_STAGES[0], kernel=3, name="stem")
    for number, filters in enumerate(RESNET18_STAGES):
        features = _residual_block(features, filters, stride=2 if number else 1, name=f"stage_{number}_a")
        features = _residual_block(features, filters, stride=1, name=f"stage_{number}_b")
    return keras.Model(faces, _probabilities(layers.GlobalAveragePooling2D()(features)), name="resnet18")


def vgg16(size: int = FACE_SIZE, weights: str | None = None) -> keras.Model:
    """Keras' VGG-16 (Simonyan and Zisserman, arXiv 1409.1556) with a head for seven emotions.

    Input and output are like the others', with sizes from 32. `weights` may be "imagenet" or a file of such weights; if
    ImageNet's cannot be fetched, one line in the log says so, and the network starts from scratch. Raises ModelUnusable for
    a size that is too small and for a file that does not fit.
    """
    return _with_backbone(keras.applications.VGG16, "vgg16", size, weights)


def resnet50(size: int = FACE_SIZE, weights: str | None = None) -> keras.Model:
    """Keras' ResNet-50 (He et al., arXiv 1512.03385) with a head for seven emotions; otherwise like `vgg16`."""
    return _with_backbone(keras.applications.ResNet50, "resnet50", size, weights)


def _with_backbone(backbone: Callable[..., keras.Model], name: str, size: int, weights: str | None) -> keras.Model:
    faces = layers.Input((size, size, 1))
    # both backbones were trained on pictures in blue, green, red, less the means of ImageNet
    coloured = layers.Rescaling(1.0, offset=IMAGENET_MEANS)(layers.Concatenate()([faces, faces, faces]))
    given = fetched(name, IMAGENET[name]) if weights == "imagenet" else weights
    try:
        features = backbone(include_top=False, weights=given and str(given), input_shape=(size, size, 3), pooling="avg")(coloured)
    # all but the ValueError can only come from a weights file of the user's own
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelUnusable(f"{name} cannot be made: {first_line(error)}") from error
    return keras.Model(faces, _probabilities(features), name=name)


def _probabilities(features: keras.KerasTensor) -> keras.KerasTensor:
    # whatever the precision of the other layers, probabilities need float32
    return layers.Dense(len(EMOTIONS), activation="softmax", dtype="float32", name=HEAD)(layers.Dropout(0.3)(features))


def _residual_block(features: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    shortcut = layers.AveragePooling2D(stride, padding="same")(features) if stride > 1 else features
    if features.shape[-1] != filters:
        shortcut = _normalised_convolution(shortcut, filters, kernel=1, name=f"{name}_shortcut", activated=False)
    inner = _normalised_convolution(features, filters, kernel=3, stride=stride, name=f"{name}_first")
    inner = _normalised_convolution(inner, filters, kernel=3, name=f"{name}_second", activated=False)
    return layers.ReLU()(layers.Add()([inner, shortcut]))


def _normalised_convolution(
    features: keras.KerasTensor,
    filters: int,
    kernel: int,
    name: str,
    stride: int = 1,
    activated: bool = True,
    ceiling: float | None = None,
) -> keras.KerasTensor:
    convolution = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False, name=name)
    normalised = _normalised(convolution, features)
    return layers.ReLU(ceiling)(normalised) if activated else normalised


def _normalised(convolution: keras.Layer, features: keras.KerasTensor) -> keras.KerasTensor:
    return Normalisation(momentum=MOMENTUM, name=f"{convolution.name}_normalised")(convolution(features))


NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "custom_cnn": custom_cnn,
    "residual_cnn": residual_cnn,
    "mobile_cnn": mobile_cnn,
    "face_resnet": face_resnet,
    "vgg_cnn": vgg_cnn,
    "resnet18": resnet18,
    "vgg16": vgg16,
    "resnet50": resnet50,
}
"""Each takes the faces' size; those of `PRETRAINED` also take `weights`."""

PRETRAINED = ("vgg16", "resnet50")


def load_network(checkpoint: Path) -> keras.Model:
    """The trained network in a .keras file; raises ModelUnusable if there is none."""
    try:
        with checkpoint.open("rb"):  # Keras reports any file that it cannot read as missing
            pass
    except OSError as error:
        raise ModelUnusable(f"{checkpoint} cannot be read: {error.strerror}") from error
    if not zipfile.is_zipfile(checkpoint):
        raise ModelUnusable(f"{checkpoint} is not a trained network: it is no .keras file, or not all of one")
    try:
        return keras.models.load_model(checkpoint, compile=False)
    # a network with custom layers raises TypeError
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ModelUnusable(f"{checkpoint} is not a trained network: {first_line(error)}") from error


def load_classifier(checkpoint: Path) -> keras.Model:
    """The trained network in a .keras file that turns square grey faces into the scores of the emotions.

    Raises ModelUnusable if there is none, or if its input or output is something else.
    """
    network = load_network(checkpoint)
    try:
        entry, scores = network.input_shape, network.output_shape
    except AttributeError as error:  # one that was never built
        raise ModelUnusable(f"{checkpoint} does not say what it takes: {first_line(error)}") from error
    if len(entry) != 4 or not entry[1] or entry[1] != entry[2] or entry[3] != 1 or scores != (None, len(EMOTIONS)):
        raise ModelUnusable(f"{checkpoint} turns {entry} into {scores}, not square grey faces into {len(EMOTIONS)} scores")
    return network


def scores_of(network: keras.Model, faces: Image) -> NDArray[np.float32]:
    """What the network sees in grey faces (n, h, w) uint8: probabilities (n, 7)."""
    scores: NDArray[np.float32] = network.predict(fed(faces, network.input_shape[1]), batch_size=64, verbose=0)
    return scores


def accuracy_of(network: keras.Model, split: Split) -> float:
    """The share of the split's faces that the network reads as they are labelled."""
    return float((scores_of(network, split.pixels).argmax(axis=1) == split.labels).mean())


def in_precision(network: keras.Model, precision: str) -> keras.Model:
    """A copy of the network that computes in a Keras dtype policy, such as `mixed_bfloat16`; its head is always in float32."""

    def copied(layer: keras.Layer) -> keras.Layer:
        told = layer.get_config()
        return type(layer).from_config(told | {"dtype": "float32" if layer.name == HEAD else precision})

    copy = keras.models.clone_model(network, clone_function=copied, recursive=True)
    copy.set_weights(network.get_weights())
    return copy


def save(network: keras.Model, path: Path) -> Path:
    """Save the network so that a kill or a full disk never leaves half a file, or none where there was one."""
    with drafted(path) as draft:
        network.save(draft)
    return path
