"""What the heads in closed form keep of training images."""
