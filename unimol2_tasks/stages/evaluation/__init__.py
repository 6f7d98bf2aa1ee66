"""What evaluation consists of: the judged molecules, what is said of them, and how good that is."""
