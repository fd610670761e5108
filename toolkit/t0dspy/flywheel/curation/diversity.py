"""A small set that stands for a large one: what is common stays common, and the rare is there too."""

from collections.abc import Collection

import numpy as np

from t0dspy.flywheel.curation.sketch import array, likeness, sketch
from t0dspy.flywheel.curation.step import Examples, Sieved


def diverse(examples: Examples, limit: int, ignore: Collection[str] = ()) -> Sieved:
    """At most `limit` examples: half of them the first ones, half chosen for being unlike all chosen before.

    The examples come in an order that says nothing, so the first ones are a fair sample. The other half is Gonzalez'
    farthest-first traversal ("Clustering to minimize the maximum intercluster distance", 1985), which alone would
    choose outliers only.
    """
    if len(examples) <= limit:
        return Sieved(examples)
    chosen = list(range((limit + 1) // 2))
    texts = [{"all": {name: one.inputs[name] for name in one.inputs if name not in ignore}} for one in examples]
    sketches = np.stack([array(sketch(text)) for text in texts])
    nearest = np.zeros(len(examples))
    for at in range(limit):
        if at == len(chosen):
            chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, likeness(sketches, sketches[chosen[at]]))
        nearest[chosen[at]] = np.inf
    left_out = len(examples) - limit
    return Sieved([examples[at] for at in sorted(chosen)], {"more than the limit": left_out})
