"""Stands in for the six names of torchvision that neural-style 0.5.7 uses; torchvision fixes one build of torch."""
