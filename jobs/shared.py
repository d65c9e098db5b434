"""What the runs of a pipeline have in common."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from gan.config import RunConfig

Config = TypeVar("Config", bound=RunConfig)


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Settings that a pipeline gives to all of its runs, in place of their own."""

    seed: int | None = None
    """seed of all runs, in place of their own"""
    data: str | None = None
    """data set of all runs, in place of their own"""
    image_size: int | None = None
    """side of all images in pixels, in place of their own"""
    root: str | None = None
    """folder that holds the files of all data, in place of their own"""
    energy_country: str | None = None
    """country whose electricity all of it takes, in place of their own"""

    def apply(self, config: Config) -> Config:
        """`config` with them."""
        train = config.train
        if self.energy_country is not None:
            train = replace(train, energy_country=self.energy_country)
        given: dict[str, Any] = {
            "name": self.data, "image_size": self.image_size, "root": self.root
        }  # fmt: skip
        of_data = replace(
            config.data, **{name: value for name, value in given.items() if value is not None}
        )
        seed = config.seed if self.seed is None else self.seed
        return replace(config, seed=seed, data=of_data, train=train)
