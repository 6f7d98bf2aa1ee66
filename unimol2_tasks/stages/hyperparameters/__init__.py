"""What a search consists of: proposals, rounds, trials and the files of its results."""
