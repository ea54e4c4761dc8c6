"""Tools that know nothing of networks: errors, files, progress, processes, devices."""
