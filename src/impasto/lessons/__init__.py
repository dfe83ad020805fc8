"""The way there: two warm-ups, a CNN that reads faces and a GAN that draws them."""
