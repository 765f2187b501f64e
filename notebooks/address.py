"""Where the lessons are published. Change these two lines when the repository moves, then run `make notebooks`."""

REPOSITORY = "https://github.com/var-mini/var-mini"  # a placeholder until the repository has a public address
BRANCH = "main"
