"""The Adam step fix: bit-identical to torch's Adam where that works, and never in danger."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from gan.config import AdamConfig, ConfigError, saturation_step
from gan.optim import Adam, SaturatingBeta, load_state_tensors, state_tensors

GAN_BETAS, DEFAULT_BETAS = (0.0, 0.9), (0.9, 0.999)
KERNELS = {"single": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 2))


def set_step(optimizer: torch.optim.Optimizer, step: int) -> None:
    for state in optimizer.state.values():
        state["step"].fill_(step)


def update(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()


def steps_of(optimizer: torch.optim.Optimizer) -> set[float]:
    return {float(state["step"]) for state in optimizer.state.values()}


@pytest.mark.parametrize(("beta", "step"), [(0.0, 1), (0.5, 54), (0.9, 356), (0.999, 37_412)])
def test_saturation_is_where_the_correction_becomes_one(beta: float, step: int) -> None:
    assert saturation_step(beta) == step
    assert 1 - beta**step == 1


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("betas", [GAN_BETAS, DEFAULT_BETAS], ids=str)
def test_safe_equals_plain_adam_across_the_cap(betas: tuple, kernel: dict) -> None:
    nets = network(), network()
    plain = torch.optim.Adam(nets[0].parameters(), lr=1e-3, betas=betas, **kernel)
    safe = Adam(nets[1].parameters(), lr=1e-3, betas=betas, **kernel)
    for optimizer, net in zip((plain, safe), nets, strict=True):
        update(net, optimizer, 0)
        set_step(optimizer, safe.last_step - 20)
    for seed in range(1, 401):
        update(nets[0], plain, seed)
        update(nets[1], safe, seed)
        for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
            assert torch.equal(a, b), seed
    assert steps_of(safe) == {safe.last_step}
    assert steps_of(plain) == {safe.last_step + 380}


def late_update(optimizer_class: type, betas: tuple, step: int, **options: object) -> torch.Tensor:
    """How far one parameter moves at a late step with a constant gradient history."""
    parameter = nn.Parameter(torch.zeros(4))
    optimizer = optimizer_class([parameter], lr=1e-3, betas=betas, **options)
    parameter.grad = torch.ones(4)
    optimizer.step()
    state = optimizer.state[parameter]
    state["exp_avg"].fill_(1), state["exp_avg_sq"].fill_(1), state["step"].fill_(step)
    before = parameter.detach().clone()
    optimizer.step()
    return parameter.detach() - before


def test_legacy_shows_the_documents_fault_and_where_it_is_harmless() -> None:
    plain = late_update(torch.optim.Adam, DEFAULT_BETAS, 100_000)
    legacy = late_update(Adam, DEFAULT_BETAS, 1_000, step_fix="legacy")
    ratio = (legacy / plain).mean().item()
    assert ratio == pytest.approx((1 - 0.999**1001) ** 0.5, abs=1e-4)  # 0.80: never reaches 1
    same = late_update(torch.optim.Adam, GAN_BETAS, 100_000)
    assert torch.equal(late_update(Adam, GAN_BETAS, 1_000, step_fix="legacy"), same)


def test_legacy_resets_the_counter_in_place() -> None:
    net = network()
    optimizer = Adam(net.parameters(), lr=1e-3, betas=DEFAULT_BETAS, step_fix="legacy")
    update(net, optimizer, 0)
    set_step(optimizer, 1022)
    counters = [state["step"] for state in optimizer.state.values()]
    update(net, optimizer, 1)
    assert steps_of(optimizer) == {1023}
    update(net, optimizer, 2)
    assert steps_of(optimizer) == {1000}
    assert all(a is s["step"] for a, s in zip(counters, optimizer.state.values(), strict=True))


class BadLibraryBeta(float):
    """A beta of a maths library that reports a range error for a subnormal power."""

    def __pow__(self, exponent: float, modulus: None = None) -> float:
        power = float.__pow__(self, float(exponent))
        if self > 0 and power < sys.float_info.min:
            raise OverflowError(34, "Numerical result out of range")
        return power


@pytest.mark.parametrize("betas", [GAN_BETAS, DEFAULT_BETAS], ids=str)
def test_bad_library_breaks_plain_adam_at_6724_and_safe_never(betas: tuple) -> None:
    bad = tuple(BadLibraryBeta(beta) for beta in betas)
    nets = network(), network()
    plain = torch.optim.Adam(nets[0].parameters(), lr=1e-3, betas=bad, foreach=False)
    safe = Adam(nets[1].parameters(), lr=1e-3, betas=bad, foreach=False)
    for optimizer, net in zip((plain, safe), nets, strict=True):
        update(net, optimizer, 0)
        set_step(optimizer, 6_700)
    survived = 6_700
    with pytest.raises(OverflowError):
        for seed in range(100):
            update(nets[0], plain, seed)
            survived += 1
    assert survived + 1 == 6_724
    for start in (6_700, 37_400, 708_000):
        set_step(safe, start)
        for seed in range(100):
            update(nets[1], safe, seed)


def test_state_crosses_the_cap_through_a_save(tmp_path: Path) -> None:
    nets = network(), network()
    optimizers = [Adam(net.parameters(), lr=1e-3, betas=GAN_BETAS, fused=True) for net in nets]
    for seed in range(350):
        update(nets[0], optimizers[0], seed)
    torch.save(
        {"net": nets[0].state_dict(), "adam": state_tensors(optimizers[0], nets[0])},
        tmp_path / "state.pt",
    )
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    nets[1].load_state_dict(saved["net"])
    load_state_tensors(optimizers[1], nets[1], saved["adam"])
    for seed in range(350, 450):
        for net, optimizer in zip(nets, optimizers, strict=True):
            update(net, optimizer, seed)
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(a, b)
    assert steps_of(optimizers[1]) == {356}


def test_counter_stands_still_at_float32s_end_and_larger_caps_are_refused() -> None:
    counter = torch.tensor(float(1 << 24))
    assert counter + 1 == counter
    with pytest.raises(ValueError, match=r"would have to count to .* allowed: below 16,777,216"):
        Adam(network().parameters(), lr=1e-3, betas=(0.9, 1 - 1e-6))
    with pytest.raises(ConfigError, match=r"optim\.beta2 is 0\.999999; allowed: a little less"):
        AdamConfig(beta2=1 - 1e-6)
    assert AdamConfig(beta2=1 - 1e-6, step_fix="off").beta2 == 1 - 1e-6


def test_saturating_beta_is_the_same_float_otherwise() -> None:
    beta = SaturatingBeta(0.999)
    assert beta == 0.999
    assert 1 - beta == 1 - 0.999
    assert all(beta**n == 0.999**n for n in (1, 2.0, 100, 37_412))
    assert beta**1e9 == 0.999**37_412


ALONE = """
import sys, torch
from gan.optim import Adam
weight = torch.nn.Parameter(torch.ones(3))
adam = Adam([weight], lr=0.1, betas=(0.5, 0.9), fused={fused})
adam.add_param_group({{"params": [torch.nn.Parameter(torch.ones(3))]}})
for _ in range(2):
    weight.sum().backward()
    adam.step()
    adam.zero_grad()
assert weight.grad is None and weight[0] < 1
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("fused", [True, False])
def test_torchs_compiler_is_not_loaded(fused: bool) -> None:
    code = ALONE.format(fused=fused)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_groups_gradients_and_closures_are_torchs() -> None:
    nets = network(), network()
    adams = [
        kind(net[0].parameters(), lr=1e-3, betas=GAN_BETAS)
        for kind, net in zip((torch.optim.Adam, Adam), nets, strict=True)
    ]
    for adam, net in zip(adams, nets, strict=True):
        adam.add_param_group({"params": list(net[1].parameters()), "lr": 0.1})

        def loss(net: nn.Module = net, adam: torch.optim.Optimizer = adam) -> torch.Tensor:
            adam.zero_grad()
            found = net(torch.ones(2, 5)).square().sum()
            found.backward()
            return found

        assert adam.step(loss).requires_grad
        adam.zero_grad(set_to_none=False)
        assert all((p.grad == 0).all() for p in net.parameters())
        with pytest.raises(ValueError, match="more than one parameter group"):
            adam.add_param_group({"params": list(net[1].parameters())})
    assert adams[0].state_dict()["param_groups"][1]["lr"] == 0.1
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(a, b)
