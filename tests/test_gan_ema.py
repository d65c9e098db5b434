import torch
from torch import nn

from gan.ema import EMA


def test_average_follows_the_weights_and_copies_the_buffers() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema = EMA(net, decay=0.5)
    expected = net[0].weight.detach().clone()
    for updates in range(20):
        net.train()(torch.randn(4, 2))
        with torch.no_grad():
            net[0].weight += 1
        ema.update(updates)
        decay = min(0.5, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * net[0].weight.detach()
    torch.testing.assert_close(ema.average[0].weight, expected)
    assert torch.equal(ema.average[1].running_mean, net[1].running_mean)
    assert not ema.average.training
