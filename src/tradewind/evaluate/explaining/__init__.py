"""Why a decision was taken, and what a row of a run leant on."""
