"""The foundation model: vocabulary, weights, architecture, pre-training, fine-tuning, and how good an embedding is."""
