"""Data sets: Fashion-MNIST and things by name, and a folder of anybody's pictures. All end as uint8 arrays in memory."""

from .fashion import FASHION_FOLDER
from .folder import load_folder
from .images import ImageData, to_unit
from .registry import REGISTRY, is_here, load

__all__ = ["FASHION_FOLDER", "REGISTRY", "ImageData", "is_here", "load", "load_folder", "to_unit"]
