"""The five kinds of task: what is asked about a market, and what a sample's label is. One file a kind."""
