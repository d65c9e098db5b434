"""The science: networks, losses, data, the training loop. Knows no scheduler."""
