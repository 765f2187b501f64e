"""The page without a server: a folder of static files in which the model itself runs, in the visitor's browser."""
