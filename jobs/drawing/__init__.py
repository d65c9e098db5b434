"""What the discriminators and classifiers of a run see, drawn."""
