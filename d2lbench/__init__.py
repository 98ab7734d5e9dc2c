"""Put what *Dive into Deep Learning* teaches about training to the test."""

__version__ = "0.1.0"
