"""What is known of genes before a screen: annotations, pathways, regulons, graphs, embeddings, names."""
