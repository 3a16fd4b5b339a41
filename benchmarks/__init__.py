"""Speed of fomaml_fast beside its peers; run with ``pytest benchmarks/``."""
