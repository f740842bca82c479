"""PerturBench (Wu et al. 2024, arXiv:2408.10609): its six curations and its splits, made anew."""
