"""Stands in for what neural-style 0.5.7 and pystiche 1.0.1 use of torchvision, which fixes one build of torch.

pystiche could not be imported beside a torchvision of today anyhow: it asks for tables of addresses that have gone.
"""

from __future__ import annotations

from torchvision import models as models
