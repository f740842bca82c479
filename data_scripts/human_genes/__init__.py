"""The table of human genes that is shipped with the kit, in starter/simulation/human."""
