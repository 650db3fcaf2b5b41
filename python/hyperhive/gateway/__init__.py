"""What leaves a container: the model API, with the key added on the way."""
