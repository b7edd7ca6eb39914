"""Files that are kept by their content: in a folder, or in any S3-compatible server."""
