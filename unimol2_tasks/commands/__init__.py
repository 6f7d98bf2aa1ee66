"""The commands of `unimol2`, a file per topic; `cli` puts them together."""
