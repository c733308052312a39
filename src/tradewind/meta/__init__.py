"""Few-shot learning: meta-learners that adapt to a new market in a handful of bars, their tasks, tools and benchmark."""
