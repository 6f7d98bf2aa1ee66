"""What prediction consists of: units of rows, the passes over them, the columns of the table."""
