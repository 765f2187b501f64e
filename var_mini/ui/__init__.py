"""The front end that needs no server: the model in JavaScript (`engines/`), and what makes a checkpoint ready for it."""
