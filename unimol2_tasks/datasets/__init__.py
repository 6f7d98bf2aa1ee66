"""Datasets: tables read, molecules stored in shards, and batches drawn from them."""
