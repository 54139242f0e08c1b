"""The groups of an embedded protocol: its pairs by sex, skin, age and pose."""

import numpy as np
import pyarrow as pa

from stages.protocols import embedded
from stages.protocols.embedded import Scenes
from stages.world import style

SKIN_SD = 0.43  # a third of all people are lighter than -0.43 standard deviations, a third darker than 0.43
AGES = (30, 46)  # the same thirds, in years: 38 + 32 tanh(0.6 x) at -0.43 and 0.43 is 30 and 46
TURNED_DEG = 20  # a pair is turned where the yaw of either image is larger
IMAGES = 4096  # looked at together


def of_pairs(scenes: Scenes, pairs: pa.Table) -> pa.Table:
    """Return the group of each pair (p,) by each grouping, empty where its two people are of two groups."""
    traits, rows = embedded.traits(scenes.people), [pairs[side].to_numpy() for side in ("a", "b")]
    of_people = {
        "sex": np.where(traits["sex"] > 0, "male", "female"),
        "skin": np.array(["light", "medium", "dark"])[np.digitize(traits["skin"], (-SKIN_SD, SKIN_SD))],
        "age": np.array(["under 30", "30 to 45", "46 and over"])[np.digitize(traits["age_years"], AGES)],
    }
    columns = {}
    for name, group in of_people.items():
        a, b = (group[scenes.people.who(slice(None))[0][row]] for row in rows)
        columns[name] = np.where(a == b, a, "")
    largest = np.max([_yaws_deg(scenes)[row] for row in rows], axis=0)
    columns["pose"] = np.where(largest > TURNED_DEG, "turned", "frontal")
    return pa.table(columns)


def _yaws_deg(scenes: Scenes) -> np.ndarray:
    """Return the size of the yaw of each image, (n,)."""
    parts = (slice(start, start + IMAGES) for start in range(0, len(scenes.people), IMAGES))
    yaw = [scenes.album(part).style[:, style.column("yaw_deg")].numpy() for part in parts]
    return np.abs(np.concatenate(yaw))
