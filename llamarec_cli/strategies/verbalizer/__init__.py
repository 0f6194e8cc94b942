"""The paper's reading: the logits of the candidates' index letters, and the adapter that is trained for it."""
