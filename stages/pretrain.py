"""Train the networks that the embedded backends stand on: recogniser, judge, inverter and pose.

reads   params pretrain
writes  data/pretrain/recogniser  faces to rows; what packing, generation and audit work in
        data/pretrain/judge       a second opinion: other people, network, loss, colours and seed
        data/pretrain/inverter    rows to identity parameters of the face world
        data/pretrain/pose        faces to yaw and pitch, for AttrOP
        each a folder of weights and card; committed to git, so that a clean clone does not train for 20 minutes
"""

from pathlib import Path

from stages.common import artifacts, params, ranks, stage
from stages.pretraining import inversion, pose, recognition
from stages.pretraining.recognition import Recipe
from stages.settings.pretrain import Pretrain

RECIPES = {
    "recogniser": Recipe(
        population="pretrain", architecture="compact", widths=(16, 48, 96, 160), colour="rgb", loss="cosface",
        scale=16, margin=0.1, decorrelation=0.3,
    ),
    "judge": Recipe(
        population="judge", architecture="plain", widths=(16, 48, 96, 128), colour="grey", loss="arcface",
        scale=16, margin=0.1, decorrelation=0.0,
    ),
}  # fmt: skip


def main() -> str:
    """Run the stage: recognisers and pose network side by side, then the inverter of the first recogniser."""
    cfg = params.load("pretrain", Pretrain)
    with ranks.kept("pretrain") as folder:

        def train(name: str) -> None:
            network = folder / name
            if network.exists():
                return
            if name == "pose":
                pose.train(cfg, network)
            else:
                recognition.train(RECIPES[name], cfg, network)

        ranks.share([*RECIPES, "pose"], train, "train")
        inversion.train(cfg, folder)
        accuracy = {name: artifacts.read_json(folder / name / artifacts.CARD)["unseen_accuracy"] for name in RECIPES}
        fit = artifacts.read_json(folder / "inverter" / artifacts.CARD)["cosine"]
        yaw_error_deg = artifacts.read_json(folder / "pose" / artifacts.CARD)["unseen"]["wild"]["yaw_error_deg"]
        ranks.publish(folder, Path("data/pretrain"))
    accuracies = ", ".join(f"{name} {100 * value:.1f} %" for name, value in accuracy.items())
    fits = f"inverter cosine {fit:.3f}, yaw to {yaw_error_deg:.1f} degrees"
    return f"pretrain: {accuracies} on unseen people, {fits} -> data/pretrain"


if __name__ == "__main__":
    stage.run(main)
