"""The commands of `starter`, a module for each thing that they are about."""
