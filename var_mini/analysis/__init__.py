"""What a trained model does and how well: its quality, its back ends against exact attention, pictures taken apart, parity."""
