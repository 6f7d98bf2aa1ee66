"""What preparation consists of: the passes over a table, their units of work, the files of a dataset."""
