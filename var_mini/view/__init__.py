"""Pictures of runs. Reads traces and numbers only."""
