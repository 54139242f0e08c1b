"""The published way to minimise HyperFace's objective, for tests and timings only, and the same with less work.

`reference` is the paper's loop (arXiv 2411.08470, algorithm 1): Adam on the rows by autograd of J itself, with the full
matrix of similarities; rows are brought back to the sphere after every step. `twin` takes the same steps from the
analytic gradient, with products in bfloat16, and looks for gallery neighbours every ten iterations. The two differ in
engineering only; twin and solver differ in the algorithm. The paper does not state its learning rate and schedule: here
the rate is an argument, and falls by a quarter after every twentieth of the run. Nor does the paper say whether
autograd sees the rows normalised. Here it does: otherwise the gradient points outwards where a row lies near its
gallery row, Adam scales that step to the rate, little is left along the sphere, and the loop ends higher.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from stages.common.devices import products_dtype

DECAY, DECAYS = 0.75, 20
BETAS, EPSILON = (0.9, 0.999), 1e-8  # Adam's
GALLERY_EVERY = 10

AfterStep = Callable[[int, Tensor], None]


def reference(
    x: Tensor, x_ref: Tensor, alpha: float, reading: str, iterations: int, learning_rate: float, after_step: AfterStep
) -> Tensor:
    """Return the rows (m, d) after `iterations` of the paper's loop from x; `after_step` is given step and rows."""
    x = x.clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=learning_rate, betas=BETAS, eps=EPSILON)
    decay = torch.optim.lr_scheduler.StepLR(adam, max(iterations // DECAYS, 1), DECAY)
    for step in range(iterations):
        adam.zero_grad()
        loss(x, x_ref, alpha, reading).backward()
        adam.step()
        decay.step()
        with torch.no_grad():
            x.copy_(normalize(x))
        after_step(step + 1, x.detach())
    return x.detach()


def loss(x: Tensor, x_ref: Tensor, alpha: float, reading: str) -> Tensor:
    """Return J of rows x (m, d) on the sphere, which autograd can differentiate."""
    x = normalize(x)
    cos = x @ x.T - 3 * torch.eye(len(x), device=x.device)  # (m, m), no row is its own neighbour
    separation = cos.max() if reading == "closest" else cos.max(1).values.mean()
    return separation + alpha * (1 - (x @ x_ref.T).max(1).values).mean()


def twin(
    x: Tensor, x_ref: Tensor, alpha: float, reading: str, iterations: int, learning_rate: float, after_step: AfterStep
) -> Tensor:
    """Return what `reference` returns, up to rounding, from the analytic gradient and fast products."""
    x, fast_ref = x.clone(), x_ref.to(products_dtype())
    first, second, target = torch.zeros_like(x), torch.zeros_like(x), x
    for step in range(1, iterations + 1):
        if step % GALLERY_EVERY == 1:
            target = x_ref[(x.to(fast_ref.dtype) @ fast_ref.T).argmax(1)]
        gradient = separation_gradient(x, reading).sub_(target, alpha=alpha / len(x))
        gradient.sub_((gradient * x).sum(1, keepdim=True) * x)  # along the sphere
        first.mul_(BETAS[0]).add_(gradient, alpha=1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        rate = learning_rate * DECAY ** ((step - 1) // max(iterations // DECAYS, 1)) / (1 - BETAS[0] ** step)
        x = normalize(x.addcdiv_(first, (second / (1 - BETAS[1] ** step)).sqrt_().add_(EPSILON), value=-rate))
        after_step(step, x)
    return x


def separation_gradient(x: Tensor, reading: str) -> Tensor:
    """Return the (sub)gradient of the separation in space (m, d): of the closest pair, or of every row's nearest."""
    fast = x.to(products_dtype())
    near, other = (fast @ fast.T).fill_diagonal_(-2).max(1)
    if reading == "mean":
        return x[other].index_add_(0, other, x).div_(len(x))
    i = int(near.argmax())
    j = int(other[i])
    gradient = torch.zeros_like(x)
    gradient[i], gradient[j] = x[j], x[i]
    return gradient
