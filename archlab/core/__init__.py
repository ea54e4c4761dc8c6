"""What every part uses and that knows nothing of networks: errors, files, progress, processes, devices."""
