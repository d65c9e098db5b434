"""The job that measures: accuracies, and how far generated images are from real ones."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from jobs import records, trained
from jobs.stage import Context, Result, StageJob, Stopped

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from gan.data.sources import ImageSource


@dataclass(frozen=True)
class Evaluate(StageJob):
    """Compares a pipeline's classifier and GAN; the classifier is the measure."""

    stage = "evaluate"

    def work(self, context: Context) -> Result:
        from gan import metrics, samples

        members = context.run.members()
        records.require(members["gan"], "sample")
        judge, model = trained.load(members["classifier"]), trained.load(members["gan"])
        generated = samples.read(model.run.generated_file)
        fakes, asked = generated.images[0].transpose(0, 3, 1, 2), generated.labels
        test_images, test_labels = judge.data.test_images, judge.data.test_labels

        judged = _Judge(judge, context)
        figures: dict[str, Any] = {
            "classifier_test_accuracy": judged.accuracy(test_images, test_labels),
            "discriminator_test_accuracy": _Judge(model, context).accuracy(
                model.data.test_images, model.data.test_labels
            ),
            "gan_test_accuracy": judged.accuracy(fakes, asked),
            "gan_test_accuracy_by_class": judged.accuracy_by_class(fakes, asked),
            "test_images": len(test_labels),
            "generated_images": len(asked),
            "judge_sha256": judge.checksum,
            "generator_sha256": model.checksum,
        }
        real = judged.features(judge.data.train_images)
        # Both distances grow as the sets shrink: only sets of one size can be compared.
        count = min(len(fakes), len(test_images))
        pairs = {"generated": fakes[:count], "floor": test_images[:count]}
        for name, images in pairs.items():
            figures[f"{name}_distance"] = asdict(metrics.distances(real, judged.features(images)))
        context.say(
            f"test accuracy {figures['classifier_test_accuracy']:.4f} (classifier), "
            f"{figures['discriminator_test_accuracy']:.4f} (GAN's discriminator); "
            f"GAN-test accuracy {figures['gan_test_accuracy']:.4f}; "
            f"Frechet distance {figures['generated_distance']['frechet']:.3f} "
            f"(real against real {figures['floor_distance']['frechet']:.3f})"
        )
        return Result(figures=figures)


@dataclass(frozen=True)
class _Judge:
    """A trained discriminator applied to arrays of images (N, C, S, S) uint8."""

    model: trained.Trained
    context: Context

    def _apply(self, function: Any, images: "ImageSource") -> "Tensor":
        from gan import evaluation

        critic = self.model.variant.critic
        try:
            with evaluation.eval_mode(critic):
                stop = self.context.stop.reason
                return evaluation.predict(function, images, self.model.device, stop)
        except evaluation.Interrupted:
            raise Stopped(self.context.stop.reason()) from None

    def features(self, images: "ImageSource") -> "Tensor":
        return self._apply(self.model.variant.critic.features, images)

    def accuracy(self, images: "np.ndarray", labels: "np.ndarray") -> float:
        from gan import evaluation

        return evaluation.accuracy(self._apply(self.model.variant.classify, images), labels)

    def accuracy_by_class(self, images: "np.ndarray", labels: "np.ndarray") -> dict[str, float]:
        names = self.model.data.info.classes
        return {
            name: self.accuracy(images[labels == k], labels[labels == k])
            for k, name in enumerate(names)
            if (labels == k).any()
        }
