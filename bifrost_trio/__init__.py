"""bifrost-trio."""
