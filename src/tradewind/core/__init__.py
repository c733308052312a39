"""Floor 1: types, protocols, errors, clock, seeds, files and settings. Imports nothing of the other floors."""
