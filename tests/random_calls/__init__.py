"""Random calls of everything public, and the laws that every call keeps."""
