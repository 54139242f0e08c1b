"""Train the networks that the embedded backends stand on: recogniser, judge and inverter.

reads   params pretrain
writes  data/pretrain/recogniser.safetensors  faces to rows; what packing, generation and audit work in
        data/pretrain/judge.safetensors       a second opinion: other people, network, loss, colours and seed
        data/pretrain/inverter.safetensors    rows to identity parameters of the face world
        each with a JSON card; committed to git, so that a clean clone does not train for 20 minutes
"""

from pathlib import Path

from stages.common import artifacts, params, ranks, stage
from stages.pretraining import inversion, recognition
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
    """Run the stage: the two recognisers side by side, then the inverter of the first."""
    cfg = params.load("pretrain", Pretrain)
    nets = [Path(f"stages/backbones/{recipe.architecture}.py") for recipe in RECIPES.values()]  # not loaded yet
    with ranks.scratch("pretrain", cfg, *nets) as folder:

        def train(name: str) -> None:
            if not (folder / f"{name}.json").exists():
                recognition.train(RECIPES[name], cfg, folder / f"{name}.safetensors")

        ranks.share(list(RECIPES), train, "train")
        inversion.train(cfg, folder)
        accuracy = {name: artifacts.read_json(folder / f"{name}.json")["unseen_accuracy"] for name in RECIPES}
        fit = artifacts.read_json(folder / "inverter.json")["cosine"]
        ranks.publish(folder, Path("data/pretrain"))
    found = ", ".join(f"{name} {100 * value:.1f} %" for name, value in accuracy.items())
    return f"pretrain: {found} on unseen people, inverter cosine {fit:.3f} -> data/pretrain"


if __name__ == "__main__":
    stage.run(main)
