"""What a trained model does and how well: figures of quality, back ends against exact attention, attention looked at, parity."""
