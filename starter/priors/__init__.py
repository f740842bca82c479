"""What is known of genes before any cell is seen: tables, features of targets, graphs."""
