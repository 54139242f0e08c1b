"""The `embed` section of params.yaml."""

from stages.common.params import Recogniser, Text, settings


@settings
class Embed:
    """Which recogniser turns the gallery's faces into embeddings: its backend, weights, and card.

    The card is a JSON file that says how the network wants its faces: colour order, mean, standard deviation.
    """

    recogniser: Recogniser
    weights: Text
    card: Text
