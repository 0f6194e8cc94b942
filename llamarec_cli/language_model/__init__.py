"""Language models: loading them, and one forward pass of any of them."""
