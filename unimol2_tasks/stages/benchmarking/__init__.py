"""What a benchmark consists of: where its parts are, what they say, what a reader has to know."""
