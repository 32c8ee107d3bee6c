"""The networks that learn to draw faces of people who do not exist. Keras 3, on whichever backend is set.

A variational autoencoder (Kingma and Welling, arXiv 1312.6114) whose decoder also knows the emotion, sharpened by an
adversary (Larsen et al., arXiv 1512.09300). Faces are grey, (n, 48, 48, 1) float32 from -1 to 1.
"""

import keras
from keras import layers

from model.dataset import FACE_SIZE
from model.faces import EMOTIONS

IDENTITY = 64
"""Numbers that make up an identity; a random person's are drawn from a standard normal distribution."""

_COARSE = FACE_SIZE // 4


def encoder() -> keras.Model:
    """From faces and emotions (n, 7) to the mean and the log variance (n, 64) of their identities."""
    faces, emotions = layers.Input((FACE_SIZE, FACE_SIZE, 1)), layers.Input((len(EMOTIONS),))
    features = faces
    for filters in (24, 48, 96):
        features = layers.Conv2D(filters, 4, strides=2, padding="same")(features)
        features = layers.LeakyReLU(0.2)(features)
    features = layers.Concatenate()([layers.Flatten()(features), emotions])
    features = layers.LeakyReLU(0.2)(layers.Dense(256)(features))
    return keras.Model([faces, emotions], [layers.Dense(IDENTITY)(features), layers.Dense(IDENTITY)(features)], name="encoder")


def generator() -> keras.Model:
    """From identities (n, 64) and emotions (n, 7) to faces.

    Emotions are shares, so a mixture of two lies between their expressions.
    """
    identities, emotions = layers.Input((IDENTITY,), name="identity"), layers.Input((len(EMOTIONS),), name="emotion")
    code = layers.Concatenate()([identities, emotions])
    for units in (256, 384):
        code = layers.LeakyReLU(0.2)(layers.Dense(units)(code))
    # the faces are aligned, so dense layers can draw most of a face, at a tenth of the cost of convolutions
    features = layers.Reshape((_COARSE, _COARSE, 24))(layers.Dense(_COARSE * _COARSE * 24)(code))
    for filters in (32, 16):
        features = layers.Conv2DTranspose(filters, 4, strides=2, padding="same")(features)
        features = layers.LeakyReLU(0.2)(_modulated(features, code, filters))
    faces = layers.Conv2D(1, 5, padding="same", activation="tanh", name="faces")(features)
    return keras.Model([identities, emotions], faces, name="face_generator")


def _modulated(features: keras.KerasTensor, code: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """The features, scaled and shifted by what the code asks for (Perez et al., arXiv 1709.07871)."""
    scale = layers.Reshape((1, 1, filters))(layers.Dense(filters, bias_initializer="ones")(code))
    shift = layers.Reshape((1, 1, filters))(layers.Dense(filters)(code))
    return layers.Add()([layers.Multiply()([features, scale]), shift])


def discriminator() -> keras.Model:
    """From faces to scores (n, 6, 6, 1) that are high where a face looks real to it."""
    faces = layers.Input((FACE_SIZE, FACE_SIZE, 1))
    features = faces
    for filters in (24, 48, 96):
        features = layers.Conv2D(filters, 4, strides=2, padding="same")(features)
        features = layers.LeakyReLU(0.2)(features)
    return keras.Model(faces, layers.Conv2D(1, 3, padding="same")(features), name="discriminator")
