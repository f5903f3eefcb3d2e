"""build/<model>/<target>/: a model file with its proof, written whole and read with every hash checked."""
