"""Rendering: bytes per image, alignment, gradients, domains, what the columns do."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.common.errors import InputError
from stages.world import device, features, identity, render, style, trace

torch.set_num_threads(1)
SEEDS = np.arange(20, 28)


@pytest.fixture(scope="module")
def people() -> Tensor:
    """Return eight identities."""
    return identity.sample("test", 0, range(8))


def _changed(n: int, **columns: float) -> Tensor:
    """Return n neutral styles with some columns set."""
    s = style.neutral(n)
    for name, value in columns.items():
        s[:, style.column(name)] = value
    return s


def _difference(a: Tensor, b: Tensor) -> float:
    """Return the mean absolute difference of two image batches."""
    return float((a - b).abs().mean())


def test_bytes_do_not_depend_on_the_batch(people: Tensor) -> None:
    """The same image in batches of 3 and 8, in reverse, and with 20 others."""
    s = style.sample(SEEDS, "wild", 0.9)
    photographs = render.photograph(people, s, SEEDS, "wild", 48)
    assert photographs.dtype == np.uint8 and photographs.shape == (8, 48, 48, 3)
    part = render.photograph(people[:3], s[:3], SEEDS[:3], "wild", 48)
    assert np.array_equal(part, photographs[:3])
    back = render.photograph(people.flip(0), s.flip(0), SEEDS[::-1], "wild", 48)
    assert np.array_equal(back[::-1], photographs)
    crowd = torch.cat([identity.sample("test", 1, range(20)), people])
    among = render.photograph(crowd, torch.cat([style.neutral(20), s]),
                              np.concatenate([np.arange(20), SEEDS]), "wild", 48)  # fmt: skip
    assert np.array_equal(among[20:], photographs)


@pytest.mark.parametrize("domain", render.DOMAINS)
def test_spread_zero_makes_all_seeds_equal(people: Tensor, domain: str) -> None:
    """No noise, occluder, background or glasses remain; spread .5 differs everywhere."""
    person = people[2:3].expand(8, -1)
    still = render.photograph(person, style.sample(SEEDS, domain, 0.0), SEEDS, domain, 48)
    assert (still == still[0]).all()
    moved = render.photograph(person, style.sample(SEEDS, domain, 0.5), SEEDS, domain, 48)
    assert all((moved[i] != moved[0]).mean() > 0.5 for i in range(1, 8))


def test_nothing_of_the_renderer_stays_on_the_cpu_when_its_input_does_not(people: Tensor) -> None:
    """A device without memory: a constant left on the CPU would meet a tensor there and raise."""
    z, s = people.to("meta"), style.neutral(8).to("meta")
    with device.on(z.device):
        for domain in render.DOMAINS:
            image = render._pictures(render._scene(z, s, domain), 8, domain, 64)
            assert image.device.type == "meta" and image.shape == (8, 3, 64, 64)
    assert render.render(people, style.neutral(8), "wild", 32).device.type == "cpu"  # nor do its constants return


def test_features_stay_within_their_boxes(people: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn over the whole image, in styles twice as wide as `wild`, they look the same to a grey level or two."""
    s = style.sample(SEEDS, "wild", 1.0)
    boxed = render.render(people, s, "wild", 64)
    for name in ("FOREHEAD", "EYES", "GLASSES", "MOUTH"):
        monkeypatch.setattr(features, name, features.Box(0.0, 1.0, 0.0, 1.0))
    assert (render.render(people, s, "wild", 64) - boxed).abs().max() < 2 / 255
    monkeypatch.setattr(features, "EYES", features.Box(0.6, 0.7, 0.2, 0.8))
    assert (render.render(people, s, "wild", 64) - boxed).abs().max() > 0.1


def test_five_points_are_aligned_to_the_template(people: Tensor) -> None:
    """No similarity would bring the landmarks nearer the template; at rest they are near it."""
    s = style.sample(SEEDS, "wild", 1.0)
    s[:, [style.column(n) for n in ("shift_x_px", "shift_y_px", "tilt_deg", "zoom_log")]] = 0.0
    points = render.landmarks_px(people, s, trace.FRAME).double().numpy()
    template = np.array(trace.TEMPLATE_PX) + trace.MARGIN  # a frame of as many pixels has the template in its middle
    for landmarks in points:
        # Independent least squares: columns multiply a, b, tx, ty of a similarity.
        x, y, ones, zeros = landmarks[:, 0], landmarks[:, 1], np.ones(5), np.zeros(5)
        design = np.concatenate([np.stack([x, -y, ones, zeros], 1), np.stack([y, x, zeros, ones], 1)])
        fit = np.linalg.lstsq(design, template.T.ravel(), rcond=None)[0]
        moved = (design @ fit).reshape(2, 5).T
        assert np.abs(moved - landmarks).max() < 0.05
    frontal = render.landmarks_px(people, style.neutral(8), trace.FRAME).numpy()
    assert np.abs(frontal.mean(0) - template).max() < 4.0


def test_landmarks_scale_with_the_image_from_its_corner(people: Tensor) -> None:
    """A pixel's middle lies half a pixel from its corner, whatever its size."""
    small, large = ((render.landmarks_px(people, style.neutral(8), size) + 0.5) / size for size in (32, 128))
    torch.testing.assert_close(small, large)


def test_landmarks_lie_on_the_drawn_eyes(people: Tensor) -> None:
    """The pixels that change with the iris colour centre on the landmarks, also when turned."""
    recoloured = people.clone()
    recoloured[:, identity.column("eye_dark")] -= 3.0
    s = _changed(8, yaw_deg=20.0, pitch_deg=8.0)
    change = render.render(people, s, "studio", 112) - render.render(recoloured, s, "studio", 112)
    weight = change.abs().sum(1)  # (b, h, w)
    points = render.landmarks_px(people, s, 112)
    axis = torch.arange(112.0)
    for eye in (0, 1):
        near = (axis - points[:, eye, 0, None]).abs() < 14
        mass = weight * near[:, None, :]
        total = mass.sum((1, 2))
        x = (mass.sum(1) * axis).sum(1) / total
        y = (mass.sum(2) * axis).sum(1) / total
        assert total.min() > 0.5
        # Lids cover part of the iris: the median over people is tested.
        assert (x - points[:, eye, 0]).abs().median() < 1.0
        assert (y - points[:, eye, 1]).abs().median() < 1.5


def _losses(images: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return two smooth losses per image (b, 2): a random projection and a squared distance."""
    projected = (images * first).mean((1, 2, 3))
    return torch.stack([projected, (images - second).square().mean((1, 2, 3))], 1)


@pytest.mark.parametrize("domain", render.DOMAINS)
def test_gradients_agree_with_finite_differences(people: Tensor, domain: str) -> None:
    """Over all identity coordinates, both losses' correlation and slope are near 1."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, 3, 6, 6, generator=rng)
    first = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")
    first[:, :, :, :20] = first[:, :, :, 44:] = 0.0  # the face without its outline: nearly smooth
    second = render.render(people[4:5], style.neutral(1), domain, 64)
    s = style.sample(SEEDS[:1], domain, 0.4)
    z = people[:1].clone().requires_grad_()
    losses = _losses(render.render(z, s, domain, 64), first, second)[0]
    step = 0.02 * torch.eye(identity.IDENTITY_DIM)
    with torch.no_grad():
        offsets = torch.cat([step, -step]).split(32)
        values = [render.render(people[:1] + o, s.expand(len(o), -1), domain, 64) for o in offsets]
        up, down = _losses(torch.cat(values), first, second).chunk(2)
    numeric = (up - down).T / 0.04  # (2, IDENTITY_DIM)
    for i in range(2):
        (exact,) = torch.autograd.grad(losses[i], z, retain_graph=True)
        assert torch.corrcoef(torch.stack([exact[0], numeric[i]]))[0, 1] > (0.995, 0.99)[i]
        slope = float((exact[0] @ numeric[i]) / (numeric[i] @ numeric[i]))
        assert abs(slope - 1.0) < 0.03


def test_what_photographing_made_serves_gradients_too(people: Tensor) -> None:
    """Constants of a size that only `photograph` has seen so far are no inference tensors."""
    s = style.neutral(8)
    render.photograph(people, s, SEEDS, "wild", 80)
    z = people.clone().requires_grad_()
    render.render(z, s.requires_grad_(), "wild", 80).sum().backward()
    assert z.grad is not None and float(z.grad.abs().sum()) > 0


def test_gradients_reach_styles_and_stay_finite(people: Tensor) -> None:
    """Extreme identities and styles give finite gradients, and the light's is not zero."""
    z = (people * 20).requires_grad_()
    s = style.sample(SEEDS, "wild", 2.0).requires_grad_()
    render.render(z, s, "wild", 64).square().mean().backward()
    assert z.grad is not None and s.grad is not None
    assert bool(torch.isfinite(z.grad).all()) and bool(torch.isfinite(s.grad).all())
    assert float(s.grad[:, style.column("key_azimuth_deg")].abs().max()) > 0


def test_studio_and_wild_differ_at_the_same_style(people: Tensor) -> None:
    """The domains differ more than a wild-sized change of light within one."""
    s = style.neutral(8)
    studio, wild = (render.render(people, s, d, 64) for d in render.DOMAINS)
    relit = render.render(people, _changed(8, key_azimuth_deg=20.0), "studio", 64)
    assert _difference(studio, wild) > _difference(studio, relit)


@pytest.mark.parametrize(
    ("name", "value"),
    [("age_offset_years", 40.0), ("age_offset_years", -30.0), ("yaw_deg", 40.0),
     ("smile", 1.0), ("key_azimuth_deg", 80.0), ("hair_length_change", 2.0),
     ("glasses_change", 3.0), ("beard_change", 2.5), ("background_0", 2.0), ("lid_close", 1.0)],
)  # fmt: skip
def test_columns_change_the_image(people: Tensor, name: str, value: float) -> None:
    """Each nuisance is visible somewhere in the image of half of the people."""
    neutral = render.render(people, style.neutral(8), "studio", 64)
    moved = render.render(people, _changed(8, **{name: value}), "studio", 64)
    assert (neutral - moved).abs().amax((1, 2, 3)).median() > 0.1


def test_age_and_pose_change_much_of_the_image(people: Tensor) -> None:
    """Forty years or forty degrees change the average pixel by several grey levels."""
    neutral = render.render(people, style.neutral(8), "studio", 64)
    for column in ("age_offset_years", "yaw_deg"):
        moved = render.render(people, _changed(8, **{column: 40.0}), "studio", 64)
        assert _difference(neutral, moved) > 6 / 255


def test_a_turn_to_the_right_moves_the_nose_to_the_right(people: Tensor) -> None:
    """Positive yaw puts the nose to the right of the eyes' middle, negative to its left."""
    for yaw in (30.0, -30.0):
        points = render.landmarks_px(people, _changed(8, yaw_deg=yaw), 112)
        offset = points[:, 2, 0] - points[:, :2, 0].mean(1)
        assert bool((offset * math.copysign(1, yaw) > 4).all())


def test_every_identity_coordinate_is_visible(people: Tensor) -> None:
    """No coordinate is dead: each changes the image of at least one of three older people."""
    s = _changed(3, age_offset_years=25.0, beard_change=1.0, yaw_deg=15.0)
    s[1, style.column("glasses_change")] = 2.0
    s[0, style.column("age_offset_years")] = 0.0
    z = people[:3].clone()
    z[0, identity.column("eye_dark")] = -2.0  # green shows in light eyes, and ...
    z[0, identity.column("hair_dark")] = 0.0  # ... pigment in hair that is not black or grey
    s[2, style.column("beard_change")] = 0.0  # a full beard hides a moustache
    z[2, identity.column("moustache")] = 1.0
    neutral = render.render(z, s, "studio", 64)
    largest = torch.zeros(identity.IDENTITY_DIM)
    for i in range(3):
        moved = z[i] + torch.eye(identity.IDENTITY_DIM)
        with torch.no_grad():
            changed = [render.render(m, s[i : i + 1].expand(len(m), -1), "studio", 64)
                     for m in moved.split(32)]  # fmt: skip
        largest = torch.maximum(largest, (torch.cat(changed) - neutral[i]).abs().amax((1, 2, 3)))
    dead = [n for n, v in zip(identity.NAMES, largest, strict=True) if v < 2 / 255]
    assert dead == []


def _bad_calls() -> list[tuple[str, dict[str, object]]]:
    """Return the argument each bad call must name, with what replaces the good arguments."""
    broken_z = torch.zeros(2, identity.IDENTITY_DIM)
    broken_z[1, 3] = math.nan
    broken_style = style.neutral(2)
    broken_style[0, 0] = math.inf
    far_z, far_style = torch.zeros(2, identity.IDENTITY_DIM), _changed(2, yaw_deg=76.0)
    far_z[1, 3] = -101.0
    return [
        ("domain", {"domain": "lab"}), ("size_px", {"size_px": 50}), ("size_px", {"size_px": 0}),
        ("size_px", {"size_px": -16}), ("z.shape", {"z": torch.zeros(2, 5)}), ("z", {"z": broken_z}),
        ("style.shape", {"style": torch.zeros(2, 3)}), ("style.shape", {"style": style.neutral(3)}),
        ("style", {"style": broken_style}), ("z.skin_yellow", {"z": far_z}), ("style.yaw_deg", {"style": far_style}),
    ]  # fmt: skip


@pytest.mark.parametrize(("named", "change"), _bad_calls())
def test_bad_input_is_named(named: str, change: dict[str, object]) -> None:
    """Both entry points name the argument, or a number of it."""
    good = {"z": torch.zeros(2, identity.IDENTITY_DIM), "style": style.neutral(2),
            "domain": "studio", "size_px": 32}  # fmt: skip
    arguments = good | change
    with pytest.raises(InputError) as rendered:
        render.render(**arguments)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError) as photographed:
        render.photograph(seeds=np.arange(2), **arguments)  # pyright: ignore[reportArgumentType]
    for error in (rendered.value, photographed.value):
        assert error.key == named and error.allowed
