"""Sweeps: trials frozen at submission, run on this machine or on Slurm, watched, continued and cancelled."""
