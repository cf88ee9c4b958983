"""The experiments of ``docs/results.md``: what they are, running them, their tables and plots."""
