"""What a lineage tells: which files a file was made of, as a tree, as a picture, and for other tools."""
