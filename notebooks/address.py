"""Where the lessons are published. Change these two lines when they are, or when they move, then `make notebooks`."""

REPOSITORY: str | None = None  # https://github.com/OWNER/NAME; while None, no notebook links to or clones from anywhere
BRANCH = "main"
