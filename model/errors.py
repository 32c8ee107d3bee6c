"""What can be wrong with weights and data, each told in one line."""


class ModelUnusable(Exception):
    """Weights that are missing, damaged, or not what their card says."""


class DataUnusable(Exception):
    """Training or test data that do not fit together."""
