"""Comparing saved states, bit by bit."""

import torch


def leaves(tree: object, path: str = "") -> dict[str, object]:
    """All leaves of a nested dict under their joined names."""
    if isinstance(tree, dict):
        return {k: v for key, sub in tree.items() for k, v in leaves(sub, f"{path}/{key}").items()}
    return {path: tree}


def assert_same_state(first: dict, second: dict) -> None:
    """Every tensor `torch.equal`, every other value equal."""
    left, right = leaves(first), leaves(second)
    assert left.keys() == right.keys()
    for name, value in left.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, right[name]), name
        else:
            assert value == right[name], name
