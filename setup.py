"""The one thing that pyproject.toml cannot say: the repository's folder assets/ is installed as var_mini/assets/."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["var_mini*", "demo*"]), "var_mini.assets"],
    package_dir={"var_mini.assets": "assets"},
)
