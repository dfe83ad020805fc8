"""Two helpers of torchvision's data sets that pystiche imports."""
