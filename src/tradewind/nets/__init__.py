"""Floor 2: nets in PyTorch, the windows they read, and the one loop that trains them."""
