"""Timing of forward and backward kernels: measured apart, checked first, with the ceilings of the same machine."""
