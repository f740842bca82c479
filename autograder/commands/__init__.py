"""The commands of `autograder`, a module for each thing that they are about."""
