"""The K562 essential benchmark of cz-benchmarks (Chan Zuckerberg Initiative), made of the author's raw file."""
