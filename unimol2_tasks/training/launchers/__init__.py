"""Ways of launching the ranks of a job: on this machine, through Slurm, through Kubernetes."""
