"""People held out choose the moment at which a training was best."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trainings
from variant import held

from stages.common import images
from stages.common.errors import InputError
from stages.training import fit, selection
from stages.training.learner import Learner
from stages.training.samples import Samples

PEOPLE, EACH, MIX = 9, 6, 2


def samples() -> Samples:
    """Return faces of people with a colour each; the last two are of the mix domain, and one image mixes two people."""
    who = np.repeat(np.arange(PEOPLE), EACH)
    other = who.copy()
    other[0] = PEOPLE - MIX - 1
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (PEOPLE, 1, 1, 3))[who] + rng.normal(0, 20, (len(who), 16, 16, 3))
    faces = np.clip(faces, 0, 255).astype(np.uint8)
    mix = who >= PEOPLE - MIX
    return Samples(faces, who, other, np.ones(len(who), np.float32), mix, PEOPLE, augment=False)


def test_the_last_people_of_the_main_domain_are_held_out_and_classes_numbered_anew():
    rest, judges = selection.hold_out(samples(), 3)
    assert rest.classes == PEOPLE - 3 and len(judges.faces) == 3 * EACH
    kept = np.delete(np.arange(PEOPLE * EACH), rest.skipped)
    assert np.unique(samples().label_a[kept]).tolist() == [0, 1, 2, 3, 7, 8]
    assert np.unique(rest.label_a[kept]).tolist() == np.unique(rest.label_b[kept]).tolist() == [0, 1, 2, 3, 4, 5]
    assert 0 not in kept and rest.main_count == 4 * EACH - 1  # the image that mixes in somebody held out
    assert np.array_equal(judges.faces, held(samples())[4 * EACH : 7 * EACH])


def test_pairs_are_as_many_impostors_as_genuine_ones_in_folds():
    _, judges = selection.hold_out(samples(), 3)
    person = np.repeat(np.arange(3), EACH)
    assert ((person[judges.a] == person[judges.b]) == judges.same).all() and judges.same.mean() == 0.5
    assert judges.same.sum() == 3 * EACH * (EACH - 1) / 2 and len(np.unique(judges.fold)) == 10
    genuine = np.stack([judges.a, judges.b])[:, judges.same]
    assert len(np.unique(np.sort(genuine, 0), axis=1).T) == judges.same.sum() and (genuine[0] != genuine[1]).all()


def test_only_the_faces_of_pairs_are_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(selection, "PAIRS", 20)
    _, judges = selection.hold_out(samples(), 3)
    faces = held(samples())[4 * EACH : 7 * EACH]
    assert len(judges.same) == 20 and len(judges.faces) == len(np.unique([judges.a, judges.b])) < 3 * EACH
    who = [np.flatnonzero((faces == face).all((1, 2, 3)))[0] // EACH for face in judges.faces]
    person = np.array(who)
    assert ((person[judges.a] == person[judges.b]) == judges.same).all()


def test_people_with_more_pairs_come_more_often_and_all_of_them_come(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(selection, "PAIRS", 4000)
    identity = np.random.default_rng(0).permutation(np.repeat([5, 9, 7], [10, 2, 100]))
    judges = selection._selection(lambda used: used[:, None], identity, 0)
    rows = judges.faces[:, 0]
    person = identity[rows[judges.a[judges.same]]]
    pairs = np.array([45, 1, 4950])
    assert np.allclose([(person == who).sum() for who in (5, 9, 7)], 2000 * pairs / pairs.sum(), atol=8)
    assert (identity[rows[judges.a]] == identity[rows[judges.b]]).tolist() == judges.same.tolist()


def colour(faces: torch.Tensor) -> torch.Tensor:
    """Return the mean colour for an embedding: these people differ by nothing else."""
    return faces.float().mean((1, 2)) - 128


def test_accuracy_is_that_of_what_embeds():
    _, judges = selection.hold_out(samples(), 4)
    assert judges.accuracy(colour) > 0.95
    assert judges.accuracy(lambda faces: torch.ones(len(faces), 3)) == 0.5


def test_the_weights_of_the_best_score_are_kept_over_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rest, judges = selection.hold_out(samples(), 3)
    cfg = trainings.cfg(samples=12 * 8, batch=8, **{"input.size_px": 16, "runs.checkpoint_s": 0.0, "monitor.times": 4})
    script = {3: 0.5, 6: 0.9, 9: 0.9, 12: 0.7}
    current: list[Learner] = []
    monkeypatch.setattr(selection.Selection, "accuracy", lambda self, embed: script[current[-1].step])
    states = {}

    def after(learner: Learner) -> None:
        states[learner.step] = {key: tensor.clone() for key, tensor in learner.net.state_dict().items()}
        if learner.step == 10 and len(current) == 1:
            raise KeyboardInterrupt

    begin = Learner.__init__
    monkeypatch.setattr(Learner, "__init__", lambda self, *how: (current.append(self), begin(self, *how))[1])
    with pytest.raises(KeyboardInterrupt):
        fit.fit(rest, cfg, 0, tmp_path, selection=judges, after_step=after)
    net, _, scores = fit.fit(rest, cfg, 0, tmp_path, selection=judges, after_step=after)
    assert scores == script and len(current) == 2
    assert all(torch.equal(tensor, states[9][key]) for key, tensor in net.state_dict().items())


def test_people_of_a_set_are_brought_to_the_training_s_size_frame_and_colour(tmp_path: Path):
    who = np.repeat(np.arange(4), 4)
    faces = np.random.default_rng(0).integers(0, 256, (16, 48, 48, 3), np.uint8)
    images.write_shard(tmp_path / "a.arrow", list(faces), identity=who, index=who, seed=who, domain="x", frame_px=112)
    judges = selection.of_set(tmp_path, 3, 32, "grey", 112)
    assert judges.faces.shape == (12, 32, 32, 1) and len(judges.same) == 2 * 3 * 6


@pytest.mark.parametrize(("people", "value"), [(7, 7), (8, 8)])
def test_who_is_held_out_leaves_somebody_to_train_on(people: int, value: int):
    with pytest.raises(InputError) as error:
        selection.hold_out(samples(), people)
    assert (error.value.key, error.value.value) == ("train.monitor.identities", value)


def test_people_with_one_image_each_cannot_judge():
    alone = replace(samples(), label_a=np.arange(PEOPLE * EACH), label_b=np.arange(PEOPLE * EACH))
    with pytest.raises(InputError, match="0 genuine pairs"):
        selection.hold_out(replace(alone, classes=PEOPLE * EACH), 20)
