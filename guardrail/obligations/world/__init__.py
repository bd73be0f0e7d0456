"""What the world shows of what is owed: files, processes, mounts, directories, stores and records; and the deletion."""
