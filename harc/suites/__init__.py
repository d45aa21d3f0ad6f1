"""What models are asked: suites and attacks, one file each, and what their records hold."""
