"""What other programs see of tradewind: records of its runs, on disk and in MLflow."""
