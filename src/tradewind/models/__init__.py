"""Floor 3: forecasters, one a file. `tradewind.forecaster(name)` builds them; `tradewind.forecasters()` lists the names."""
