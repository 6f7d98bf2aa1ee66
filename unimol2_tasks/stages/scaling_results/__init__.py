"""What a scaling law leaves behind: its files, tables, figures and page."""
