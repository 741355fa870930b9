"""What `fuzz.py` runs: valid inputs of each kind with the functions that read them, and how inputs are changed."""
