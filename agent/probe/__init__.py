"""The GPU side of the compute challenge: a short-lived process with one worker for each GPU."""
