"""The services: strangers to each other, the same file names in all five."""
